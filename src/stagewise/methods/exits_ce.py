"""A multi-exit network without a teacher: cross-entropy at every exit.

The control of paper B (without it, MSKD's gain cannot be told from the exits'), and what trains a
teacher's exits on its frozen backbone.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods._exits import Weights, summed
from stagewise.methods.base import DistillationMethod, Losses, label_loss
from stagewise.models.features import Batch, Features

NAME = "exits, no teacher"
NEEDS = Needs(exits=True)
PART = "exits"
WEIGHTS = {"ce": 1.0}


def exits_cross_entropy(exits: tuple[Tensor, ...], labels: Tensor, weights: Weights = ()) -> Tensor:
    """Sum over exits of the mean cross-entropy, each times its weight; ``exits`` are logits
    (B, classes)."""
    return summed([label_loss(logits, labels) for logits in exits], weights)


class Method(DistillationMethod):
    """L = Σ_k CE(labels, exit k)."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, summed over the exits."""
        return {"ce": exits_cross_entropy(student.exits, batch.target)}
