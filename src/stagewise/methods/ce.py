"""Standard training: cross-entropy with the labels, no teacher."""

from torch.nn.functional import cross_entropy

from stagewise.methods.base import DistillationMethod, Losses
from stagewise.models.features import Batch, Features

NAME = "CE"
NEEDS = ()
WEIGHTS = {"ce": 1.0}


class Method(DistillationMethod):
    """L = CE(labels, student)."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``: mean cross-entropy over the batch."""
        return {"ce": cross_entropy(student.logits.float(), batch.target)}
