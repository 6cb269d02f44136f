"""What methods on exits share: sums over the exits that run, and which exit teaches which.

A phase may run some of a network's exits only: ``Features.places`` says which, by their stages.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from stagewise.errors import UserError
from stagewise.methods.base import full
from stagewise.models.features import Features

Weights = tuple[float, ...]
"""Of exits, shallow to deep; empty is 1 each."""


def check_weights(option: str, weights: Weights, student: Features) -> None:
    """That an option gives every exit a weight, or none of them.

    Raises:
        UserError: it does not.
    """
    if not weights:
        return
    count = len(student.places)
    if len(weights) != count:
        raise UserError(
            f"{option}: {list(weights)} are {len(weights)} weights, but the student has {count}"
            " exits; give one for each, shallow to deep"
        )
    numbers = all(isinstance(weight, int | float) for weight in weights)
    if not numbers or min(weights) < 0 or max(weights) <= 0:
        raise UserError(f"{option}: {list(weights)}: give weights of at least 0, not all of them 0")


def running(weights: dict[int, float], student: Features) -> Weights:
    """Of weights by the stage of their exit, those of the exits that run."""
    return tuple(weights[place] for place in student.places) if weights else ()


def summed(losses: list[Tensor], weights: Weights = ()) -> Tensor:
    """Their sum, with weights where there are any."""
    weighted = [w * loss for w, loss in zip(weights, losses, strict=True)] if weights else losses
    return torch.stack(weighted).sum()


def nothing(student: Features) -> Tensor:
    """The loss of exits that do not run."""
    return full(student.logits).new_zeros(())


def by_place(own: Sequence[int], theirs: Sequence[int], stages: int) -> tuple[int, ...]:
    """The stage of the teacher's exit for each of a student's.

    ``own`` and ``theirs`` are the stages behind which their exits stand, counted from the
    shallowest, where maps of all families have about the same size; ``stages``: how many the
    student has. An exit is taught by that of its own stage, or else by the next deeper one; the
    student's last exit, its own answer, by the teacher's last.
    """
    last = theirs[-1]
    reached = [next((place for place in theirs if place >= stage), last) for stage in own]
    return tuple(
        last if stage == stages else place for stage, place in zip(own, reached, strict=True)
    )
