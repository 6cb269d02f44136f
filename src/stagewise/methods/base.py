"""What a method is, and the soft-target loss that most of them share.

A method file states ``NAME``, ``NEEDS`` (of ``teacher``, ``teacher_exits``, ``teacher_pooled``,
``teacher_taps`` and ``exits``), ``WEIGHTS`` (default weight of each loss term) and one class
``Method``, whose keyword-only parameters are its config options.
"""

import importlib
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from stagewise import catalogue
from stagewise.models.features import Batch, Features

Losses = dict[str, Tensor]


class DistillationMethod(nn.Module):
    """A named dictionary of scalar losses for a batch; learnable parts are registered modules."""

    def forward(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """Loss terms by name; the run's weights say what they add up to."""
        return self.losses(student, teacher, batch)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """The terms; a method overrides this."""
        return {}


def make_method(entry: dict[str, Any]) -> DistillationMethod:
    """The method of a spec: ``{"method": file name, option: value, …}``.

    Raises:
        UserError: an option's value is out of the method's range.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.methods()[entry["method"]]))
    options = {key: value for key, value in entry.items() if key != "method"}
    method: DistillationMethod = module.Method(**options)
    return method


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T: summed over classes, mean over the batch.

    Hinton, Vinyals & Dean 2015 (arXiv 1503.02531), section 2; T² keeps the gradient's size. Both
    arguments are logits (B, classes); computed in float32 and log space.
    """
    return temperature**2 * kl_div(
        log_softmax(student.float() / temperature, dim=1),
        log_softmax(teacher.float() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
