"""OtO: exit k of the teacher instructs exit k of the student (MSKD's paper, Appl. Sci. 2022).

The teacher's exits are trained by cross-entropy on its frozen backbone (the paper does not say how;
HSAKD's published teachers do it so), so the teacher's own output stays that of plain KD.
"""

import torch
from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods.base import DistillationMethod, Losses, Setup, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.models.features import Batch, Features

NAME = "OtO"
NEEDS = Needs(exits=True, teacher=True, teacher_part="exits_ce")
WEIGHTS = {"ce": 0.1, "kd": 0.9}


def oto_loss(
    exits: tuple[Tensor, ...], teacher_exits: tuple[Tensor, ...], temperature: float
) -> Tensor:
    """Sum over exits of the soft-target loss, paired from the deepest exit.

    Both are logits (B, classes). A student with fewer exits than its teacher is paired with the
    teacher's deepest ones; one with more raises ``ValueError``.
    """
    if len(exits) > len(teacher_exits):
        raise ValueError(
            f"{len(exits)} student exits, but only {len(teacher_exits)} of the teacher"
        )
    pairs = zip(exits, teacher_exits[-len(exits) :], strict=True)
    return torch.stack([soft_target_loss(z, z_t, temperature) for z, z_t in pairs]).sum()


class Method(DistillationMethod):
    """One teacher exit for one student exit."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature = temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each summed over the exits."""
        assert teacher is not None
        return {
            "ce": exits_cross_entropy(student.exits, batch.target),
            "kd": oto_loss(student.exits, teacher.exits, self.temperature),
        }
