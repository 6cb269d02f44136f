"""Learning-rate schedules: progress through a phase, in [0, 1), to a factor of the phase's rate."""

import math
from collections.abc import Callable


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def steps(progress: float) -> float:
    """Divided by 10 after 62.5 %, 75 % and 87.5 %: the CRD recipe's 150, 180 and 210 of 240."""
    return 0.1 ** sum(progress >= milestone for milestone in (0.625, 0.75, 0.875))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "steps": steps,
}
