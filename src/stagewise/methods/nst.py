"""NST: the student's channels select the places that the teacher's do (Huang & Wang 2017).

"Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", arXiv 1707.01219, section
4: the squared maximum mean discrepancy between the two networks' channels, each a vector of length
1 over space, with the kernel k(x, y) = (xᵀy + c)^d, here as in its experiments c = 0, d = 2. As in
the CRD benchmark: at the end of every stage, larger maps pooled to the smaller, times 50. Pairs of
which a map has one pixel are left out: a vector of length 1 is then a sign.

The benchmark multiplies every two channels pixel by pixel, B·C·C·H·W numbers; here a product of
matrices makes the B·C·C that are needed.
"""

import torch
from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods._connectors import paired_maps, spread_pairs, unit
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "NST"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "nst": 50.0}


def kernel_mean(one: Tensor, other: Tensor) -> Tensor:
    """Mean (xᵀy)² over the batch and all channels x and y, (B, C, H·W) and (B, C', H·W)."""
    return (one @ other.transpose(1, 2)).square().mean()


def selectivity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """mean k(t, t) + mean k(s, s) - 2 mean k(s, t) of maps (B, C_s, H, W) and (B, C_t, H, W)."""
    s, t = unit(student.flatten(2)), unit(teacher.flatten(2))
    return kernel_mean(t, t) + kernel_mean(s, s) - 2 * kernel_mean(s, t)


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_nst · Σ_l MMD²(channels of F_s, of F_t)."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        """Raises:
        UserError: no two maps have more than one pixel.
        """
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.pairs = spread_pairs(setup.student, setup.teacher, "nst")

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``nst``, each a mean over the batch."""
        assert teacher is not None
        maps = paired_maps(self.pairs, student, teacher)
        distances = torch.stack([selectivity_loss(own, other) for own, other in maps])
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "nst": distances.sum(),
        }
