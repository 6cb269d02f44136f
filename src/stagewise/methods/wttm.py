"""WTTM: a student without a temperature matches a transformed teacher (Zheng & Yang 2024, ICLR).

"Knowledge Distillation Based on Transformed Teacher Matching", arXiv 2402.11148, sections 3 and 4:
the teacher's probabilities to the power γ, made to sum to 1, are those at temperature 1/γ; the
student's own have temperature 1, and no T² makes up for it. Images count by U_γ = Σ_c p_c^γ, so
those of which the teacher is less sure count more. As in the authors' code (zkxufo/TTM), in log
space. The paper gives γ and the weight by pair; the defaults are those of its code's example,
VGG13-VGG8 beside CRD: 0.2 and 4. U_γ is at most C^(1-γ), 40 for 100 classes and 6 for 10, so on few
classes the same weight is less.
"""

from torch import Tensor
from torch.nn.functional import log_softmax

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "WTTM"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "wttm": 4.0}


def transformed_loss(student: Tensor, teacher: Tensor, gamma: float) -> Tensor:
    """Mean of U_γ · KL(p_t^γ / U_γ ‖ p_s) over a batch of logits (B, C)."""
    log_power = gamma * log_softmax(full(teacher), dim=1)
    log_u = log_power.logsumexp(dim=1, keepdim=True)
    log_p = log_power - log_u
    # U_γ · (p_t^γ / U_γ) is the power itself
    return (log_power.exp() * (log_p - log_softmax(full(student), dim=1))).sum(1).mean()


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_wttm · U_γ KL(p_t^γ / U_γ ‖ p_s)."""

    def __init__(self, setup: Setup, *, gamma: float = 0.2, temperature: float = 4.0) -> None:
        """``gamma``: the teacher's power; ``temperature``: of ``kd``.

        Raises:
            UserError: it is out of range.
        """
        check_range("gamma", gamma, 0.001, 10)
        super().__init__(setup)
        self.gamma, self.temperature = gamma, temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``wttm``, each a mean over the batch."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "wttm": transformed_loss(student.logits, teacher.logits, self.gamma),
        }
