"""Standard training: cross-entropy with the labels, no teacher."""

from stagewise.declarations import Needs
from stagewise.methods.base import DistillationMethod, Losses, label_loss
from stagewise.models.features import Batch, Features

NAME = "CE"
NEEDS = Needs()
WEIGHTS = {"ce": 1.0}


class Method(DistillationMethod):
    """L = CE(labels, student)."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``: mean cross-entropy over the batch."""
        return {"ce": label_loss(student.logits, batch.target)}
