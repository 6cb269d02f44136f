"""Learning-rate schedules: from where a phase stands to a factor of its rate."""

import math
from collections.abc import Sequence
from typing import Protocol

MILESTONES = (0.625, 0.75, 0.875)
"""Of the epochs: 150, 180 and 210 of the CRD recipe's 240."""


class Schedule(Protocol):
    """What they all are."""

    def __call__(
        self, done: int, an_epoch: int, epochs: int, milestones: Sequence[float] = ()
    ) -> float:
        """Steps done, steps an epoch, epochs of the phase and the run's milestones to a factor."""
        ...


def constant(done: int, an_epoch: int, epochs: int, milestones: Sequence[float] = ()) -> float:
    """1 throughout."""
    return 1.0


def cosine(done: int, an_epoch: int, epochs: int, milestones: Sequence[float] = ()) -> float:
    """Half a cosine from 1 to 0, changed at every step."""
    return 0.5 * (1 + math.cos(math.pi * (done / (epochs * an_epoch))))


def steps(done: int, an_epoch: int, epochs: int, milestones: Sequence[float] = ()) -> float:
    """Divided by 10 at each of the ``milestones``; where there are none, after 62.5 %, 75 % and
    87.5 % of the epochs.

    Between two epochs, as in the authors' code (CRD, helper/util.py: adjust_learning_rate, called
    once an epoch): in shorter trainings after the nearest whole epoch, 6, 8 and 9 of ten.
    """
    epoch = done // an_epoch
    return 0.1 ** sum(epoch >= whole(at, epochs) for at in milestones or MILESTONES)


def whole(milestone: float, epochs: int) -> int:
    """Epochs before a milestone: itself, or where it is below 1 that share of ``epochs``."""
    return math.floor((milestone if milestone >= 1 else milestone * epochs) + 0.5)


def warmed(done: int, an_epoch: int, epochs: int, share: float) -> float:
    """What warm-up makes of the rate: in the first ``share`` of the phase's steps it rises evenly,
    from one part at the first step to all of it (Goyal et al. 2017, arXiv 1706.02677, section 2.2:
    gradual warm-up, there over five epochs)."""
    steps = round(share * epochs * an_epoch)
    return min(1.0, (done + 1) / (steps + 1))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "steps": steps,
}
