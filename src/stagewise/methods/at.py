"""AT: the student looks where the teacher looks (Zagoruyko & Komodakis 2017, ICLR).

"Paying More Attention to Attention", arXiv 1612.03928, section 3.1: where a map's energy lies,
Q(F), compared at the end of every stage. As in the authors' and the CRD benchmark's code: the mean
over everything of the squared differences, times 1,000, of the maps pooled to one size; equation 2
has the distances themselves, not their squares, times β/2. Pairs of which a map has one pixel are
left out: its attention is 1 whatever it shows.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.methods._connectors import attention, paired_maps, spread_pairs
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "AT"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "at": 1000.0}


def attention_loss(maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Σ_l mean (Q(F_s) - Q(F_t))² of pairs of maps, (B, C_s, H, W) and (B, C_t, H, W)."""
    return torch.stack([mse_loss(attention(own), attention(other)) for own, other in maps]).sum()


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_at · Σ_l mean (Q(F_s) - Q(F_t))²."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        """Raises:
        UserError: no two maps have more than one pixel.
        """
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.pairs = spread_pairs(setup.student, setup.teacher, "at")

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``at``, each a mean over the batch."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "at": attention_loss(paired_maps(self.pairs, student, teacher)),
        }
