"""KD: soft targets (Hinton, Vinyals & Dean 2015, arXiv 1503.02531).

Defaults are the CRD benchmark's: L = 0.1 CE + 0.9 KL at temperature 4.
"""

from stagewise.declarations import Needs
from stagewise.methods.base import DistillationMethod, Losses, Setup, label_loss, soft_target_loss
from stagewise.models.features import Batch, Features

NAME = "KD"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9}


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL(teacher ‖ student)."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature = temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
        }
