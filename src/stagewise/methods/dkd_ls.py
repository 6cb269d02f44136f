"""DKD with logit standardisation (Sun et al. 2024, CVPR, arXiv 2403.01427).

As in the authors' code: both parts of DKD get standardised logits at T = 2, and their weights, 1
and 8, are multiplied by 9; β by pair is DKD's, times 9. The labels' term has plain logits.
"""

from stagewise.declarations import Needs
from stagewise.methods._standardise import standardised
from stagewise.methods.base import Losses, Setup, label_loss
from stagewise.methods.dkd import Method as DKD
from stagewise.models.features import Batch, Features

NAME = "DKD+LS"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 1.0, "tckd": 9.0, "nckd": 72.0}


class Method(DKD):
    """L = w_ce · CE(labels, student) + min(epoch/warm_up, 1) · (w_tckd · TCKD + w_nckd · NCKD)."""

    def __init__(self, setup: Setup, *, temperature: float = 2.0, warm_up: int = 20) -> None:
        super().__init__(setup, temperature=temperature, warm_up=warm_up)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` of plain logits, ``tckd`` and ``nckd`` of standardised ones."""
        assert teacher is not None
        terms = super().losses(standardised(student), standardised(teacher), batch)
        return terms | {"ce": label_loss(student.logits, batch.target)}
