"""DIST: the student's predictions correlate with the teacher's (Huang et al. 2022, NeurIPS).

"Knowledge Distillation from A Stronger Teacher", arXiv 2205.10536, section 4: one minus Pearson's
correlation of the probabilities, over the classes of each image (``inter``) and over the images of
the batch for each class (``intra``). Weights 2 and 2 and a temperature ``tau`` of 4, whose square
multiplies both, are the paper's for CIFAR; for ImageNet it has 1, the value that the authors' first
code has alone. That code adds 1e-8 to the lengths' product; here what does not vary at all, like
the probabilities of a classifier that starts at 0, has correlation 0 and no gradient.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import unit
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "DIST"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "inter": 2.0, "intra": 2.0}


def correlation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """1 - Pearson's correlation, a mean over the rows of (R, n) and (R, n)."""
    own, other = (unit(rows - rows.mean(1, keepdim=True)) for rows in (student, teacher))
    return 1 - (own * other).sum(1).mean()


def dist_terms(student: Tensor, teacher: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """τ² times the loss over classes, a mean over images, and over images, a mean over classes, of
    logits (B, C)."""
    p_s, p_t = ((full(logits) / tau).softmax(1) for logits in (student, teacher))
    return tau**2 * correlation_loss(p_s, p_t), tau**2 * correlation_loss(p_s.T, p_t.T)


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + τ² (w_inter · inter + w_intra · intra)."""

    def __init__(self, setup: Setup, *, tau: float = 4.0, temperature: float = 4.0) -> None:
        """``tau``: of the correlations; ``temperature``: of ``kd``.

        Raises:
            UserError: it is out of range.
        """
        check_range("tau", tau, 0.01, 100)
        super().__init__(setup)
        self.tau, self.temperature = tau, temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``inter``, means over the batch, and ``intra``, one over classes."""
        assert teacher is not None
        inter, intra = dist_terms(student.logits, teacher.logits, self.tau)
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "inter": inter,
            "intra": intra,
        }
