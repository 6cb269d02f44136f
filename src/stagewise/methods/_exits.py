"""What methods on exits share: sums over the exits that run, and which exit teaches which.

A phase may run some of a network's exits only: ``Features.numbers`` says which.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from stagewise.errors import UserError
from stagewise.methods.base import full
from stagewise.models.features import Features

Weights = tuple[float, ...]
"""Of exits, shallow to deep; empty is 1 each."""


def count(features: Features) -> int:
    """Exits of a network; one where it has no other than its classifier."""
    return max(1, len(features.exits))


def check_weights(option: str, weights: Weights, student: Features) -> None:
    """That an option gives every exit a weight, or none of them.

    Raises:
        UserError: it does not.
    """
    if not weights:
        return
    if len(weights) != count(student):
        raise UserError(
            f"{option}: {list(weights)} are {len(weights)} weights, but the student has"
            f" {count(student)} exits; give one for each, shallow to deep"
        )
    numbers = all(isinstance(weight, int | float) for weight in weights)
    if not numbers or min(weights) < 0 or max(weights) <= 0:
        raise UserError(f"{option}: {list(weights)}: give weights of at least 0, not all of them 0")


def running(weights: Weights, student: Features) -> Weights:
    """Of all exits' weights, those of the exits that run."""
    return tuple(weights[number - 1] for number in student.numbers) if weights else ()


def summed(losses: list[Tensor], weights: Weights = ()) -> Tensor:
    """Their sum, with weights where there are any."""
    weighted = [w * loss for w, loss in zip(weights, losses, strict=True)] if weights else losses
    return torch.stack(weighted).sum()


def nothing(student: Features) -> Tensor:
    """The loss of exits that do not run."""
    return full(student.logits).new_zeros(())


def by_place(own: Sequence[int], theirs: Sequence[int], stages: int) -> tuple[int, ...]:
    """The number of the teacher's exit for each of a student's, counted from 1.

    ``own`` and ``theirs`` are the stages at which they stand, counted from the shallowest, where
    maps of all families have about the same size; ``stages``: how many the student has. An exit is
    taught by that of its own stage, or else by the next deeper one; the student's last exit, its
    own answer, by the teacher's last.
    """
    last = len(theirs)
    found = []
    for stage in own:
        deeper = [number for number, place in enumerate(theirs, 1) if place >= stage]
        found.append(last if stage == stages or not deeper else deeper[0])
    return tuple(found)
