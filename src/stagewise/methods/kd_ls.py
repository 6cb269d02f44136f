"""KD with logit standardisation (Sun et al. 2024, CVPR, arXiv 2403.01427).

Algorithm 1: L = 0.1 CE + w · T² KL of standardised logits, CE of plain ones. Defaults are the
authors' T = 2 and w = 9; their VGG13 has T = 3, w = 9 with VGG8 and MobileNetV2, their ResNet50
T = 3, w = 1 with MobileNetV2, their resnet110-resnet20 T = 4, w = 12.

Standardised logits are smaller than plain ones, so that their KL at T = 2 is no KD at T = 4: what
comes out of T = 2 and w = 9 *without* standardisation, which their code's configuration says of its
plain KD too, is not the KD of the tables, whose T is 4 and w 0.9.
"""

from stagewise.declarations import Needs
from stagewise.methods._standardise import standardised
from stagewise.methods.base import Losses, Setup, label_loss
from stagewise.methods.kd import Method as KD
from stagewise.models.features import Batch, Features

NAME = "KD+LS"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 9.0}


class Method(KD):
    """L = w_ce · CE(labels, student) + w_kd · T² KL(teacher ‖ student), both standardised."""

    def __init__(self, setup: Setup, *, temperature: float = 2.0) -> None:
        super().__init__(setup, temperature=temperature)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` of plain logits, ``kd`` of standardised ones."""
        assert teacher is not None
        terms = super().losses(standardised(student), standardised(teacher), batch)
        return terms | {"ce": label_loss(student.logits, batch.target)}
