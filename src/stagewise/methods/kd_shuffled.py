"""KD from a teacher whose answers are shuffled over the images: a negative control.

Every image gets the answer to another one, so the soft targets keep their shape but know nothing of
the image's label. If a student gains by them, the gain is smoothing, not knowledge (random and
permuted teachers as controls: Mason-Williams 2025, arXiv 2510.12615). With ``kd_shuffled`` among
``distillation.methods`` a study has the arm, and the guard G1 beside its verdicts.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods.base import Losses, label_loss, soft_target_loss
from stagewise.methods.kd import Method as KD
from stagewise.models.features import Batch, Features

NAME = "KD from a shuffled teacher"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9}


def shuffled_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The soft-target loss to the teacher's logits (B, classes) of the batch's next image; batches
    are drawn at random, so that is any image."""
    return soft_target_loss(student, teacher.roll(1, dims=0), temperature)


class Method(KD):
    """L = w_ce · CE(labels, student) + w_kd · T² KL(shuffled teacher ‖ student)."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": shuffled_loss(student.logits, teacher.logits, self.temperature),
        }
