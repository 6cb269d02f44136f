"""A multi-exit network without a teacher: cross-entropy at every exit.

The control of paper B (without it, MSKD's gain cannot be told from the exits'), and what trains a
teacher's exits on its frozen backbone.
"""

import torch
from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods.base import DistillationMethod, Losses, label_loss
from stagewise.models.features import Batch, Features

NAME = "exits, no teacher"
NEEDS = Needs(exits=True)
PART = "exits"
WEIGHTS = {"ce": 1.0}


def exits_cross_entropy(exits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """Sum over exits of the mean cross-entropy; ``exits`` are logits (B, classes)."""
    return torch.stack([label_loss(logits, labels) for logits in exits]).sum()


class Method(DistillationMethod):
    """L = Σ_k CE(labels, exit k)."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, summed over the exits."""
        return {"ce": exits_cross_entropy(student.exits, batch.target)}
