"""SP: images that are alike for the teacher are alike for the student (Tung & Mori 2019, ICCV).

"Similarity-Preserving Knowledge Distillation", arXiv 1907.09682: the inner products of
the last maps of every two images of the batch, each row as a vector of length 1, compared by the
sum of squared differences over B², times 3,000. So in the paper and in the CRD benchmark, whose
code its author checked.

It is no mean over images: in a batch twice as large an entry of a row of length 1 is smaller by √2,
so the loss of batches that are alike falls as 1/B, and a weight that was chosen at one batch size
means another thing at another.
"""

from torch import Tensor
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.methods._connectors import last_map, stage_pairs, unit
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "SP"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "sp": 3000.0}


def similarities(maps: Tensor) -> Tensor:
    """G, (B, B): inner products of maps (B, C, H, W), rows of length 1."""
    flat = maps.flatten(1)
    return unit(flat @ flat.T)


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Σ (G_s - G_t)² / B² of maps (B, C, H, W), of any two shapes."""
    return mse_loss(similarities(student), similarities(teacher))


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_sp · Σ (G_s - G_t)² / B²."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.pairs = stage_pairs(setup.student, setup.teacher)[-1:]

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch, and ``sp``, one over pairs of images."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "sp": similarity_loss(last_map(student), last_map(teacher)),
        }
