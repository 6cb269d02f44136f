"""What a method is, what it is built from, and the terms that most of them share.

A method's file states ``NAME``, ``NEEDS`` (a ``Needs``), ``WEIGHTS`` (default weight of each loss
term), maybe ``RECIPE`` (``one_stage`` where it does not say) or ``PART`` (it can be trained on a
frozen teacher), and one class ``Method``, whose keyword-only parameters are its config options.
"""

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from stagewise import catalogue
from stagewise.models.features import Batch, Features, Network
from stagewise.models.features import full as full

Losses = dict[str, Tensor]
Pair = tuple[str, str]
"""Names of the student's and of the teacher's tap that are compared."""


@dataclass(frozen=True)
class Setup:
    """What a method is built from, once the networks are known.

    ``student`` and ``teacher``: features of a dry run of two images, with the taps that the method
    asked for; ``teacher`` is None where it needs none. ``network``: the student's, to copy layers
    from (its weights are the run's: a method that keeps a layer copies it). ``classes``: how many
    there are; ``labels``: of all training images, int64 (N,), on the run's device. ``mean`` and
    ``std`` (1, C, 1, 1): what their pixels, in shares of 255, were normalised by. ``seed``: the
    run's. ``teacher_part``: the frozen method that was trained on the teacher, where ``NEEDS``
    names one.
    """

    student: Features
    teacher: Features | None
    network: Network
    classes: int
    labels: Tensor
    mean: Tensor
    std: Tensor
    seed: int = 0
    teacher_part: "DistillationMethod | None" = None


class DistillationMethod(nn.Module):
    """A named dictionary of scalar losses for a batch.

    Learnable parts are registered modules: phases name them ``method.<name>``. What it remembers
    between batches is in buffers, which a killed run's state keeps. ``teacher_part``: the setup's.
    ``pairs``: the taps (or exits, by their stages) that it compares, shallow to deep, for the run's
    record. ``compares_exits``: whether exits of the student learn from one another, so must run
    together.
    """

    teacher_part: "DistillationMethod | None"
    pairs: tuple[Pair, ...] = ()
    compares_exits: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        # Not registered: it is the teacher's, so no phase moves it and no state keeps it.
        object.__setattr__(self, "teacher_part", setup.teacher_part)

    def parts(self) -> dict[str, nn.Module | nn.Parameter]:
        """What phases can name of it, ``method.<name>``: its layers and its own parameters."""
        own: dict[str, nn.Module | nn.Parameter] = dict(self.named_children())
        own |= dict(self.named_parameters(recurse=False))
        return {f"method.{name}": part for name, part in own.items()}

    def views(self, batch: Batch) -> Batch:
        """The batch that student and teacher see: whole copies, of which the first is the given
        one. Accuracy counts that one alone."""
        return batch

    def forward(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """Loss terms by name; the run's weights say what they add up to."""
        return self.losses(student, teacher, batch)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """The terms, of a batch as ``views`` made it; changes nothing, a method overrides it."""
        return {}

    def remember(self, student: Features, teacher: Features | None, batch: Batch) -> None:
        """Update the buffers, once a step, after its gradients and before its update; without
        gradients of its own."""


def make_method(entry: dict[str, Any], setup: Setup) -> DistillationMethod:
    """The method of a spec: ``{"method": file name, option: value, …}``, in the channels-last
    layout of the networks.

    Raises:
        UserError: an option's value is out of the method's range, or the networks do not fit it.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.methods()[entry["method"]]))
    options = {key: value for key, value in entry.items() if key != "method"}
    method: DistillationMethod = module.Method(setup, **options)
    return method.to(memory_format=torch.channels_last)


def label_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of logits (B, classes) with labels (B,) or probabilities (B, classes)."""
    return cross_entropy(full(logits), target)


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T: summed over classes, mean over the batch.

    Hinton, Vinyals & Dean 2015 (arXiv 1503.02531), section 2; T² keeps the gradient's size. Both
    arguments are logits (B, classes); computed in log space.
    """
    return temperature**2 * kl_div(
        log_softmax(full(student) / temperature, dim=1),
        log_softmax(full(teacher) / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )


def warmth(progress: Tensor, epochs: int) -> Tensor:
    """() in (0, 1]: min(epoch / ``epochs``, 1), epochs counted from 1.

    As in the code of DKD and of ReviewKD. ``progress``: epochs done. 1 where ``epochs`` is 0.
    """
    return ((progress.floor() + 1) / epochs).clamp(max=1)
