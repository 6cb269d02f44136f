"""KD: soft targets (Hinton, Vinyals & Dean 2015, arXiv 1503.02531).

Defaults are the CRD benchmark's: L = 0.1 CE + 0.9 KL at temperature 4.
"""

from torch.nn.functional import cross_entropy

from stagewise.methods.base import DistillationMethod, Losses, soft_target_loss
from stagewise.models.features import Batch, Features

NAME = "KD"
NEEDS = ("teacher",)
WEIGHTS = {"ce": 0.1, "kd": 0.9}


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL(teacher ‖ student)."""

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        self.temperature = temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch."""
        assert teacher is not None
        return {
            "ce": cross_entropy(student.logits.float(), batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
        }
