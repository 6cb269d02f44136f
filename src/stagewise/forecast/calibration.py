"""How fast this machine is: a short trial of each kind of work, as many at once as there will be
jobs.

What the time budget leaves out is taken from the most similar trial, in proportion to the
multiply-adds.
"""

import math
import multiprocessing
import signal
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch

from stagewise.errors import UserError
from stagewise.forecast.trials import Speed, measure, peak
from stagewise.forecast.work import Kind
from stagewise.process.machine import keep_freed_memory

GRACE = 10.0
"""Seconds after the deadline in which a trial may end."""

WORKERS = 16
"""Most trials at once: each takes the memory of a training process."""


@dataclass(frozen=True)
class Calibration:
    """What was measured: seconds and bytes of a process that is ready to train, and the
    speeds. Bytes are of the memory that networks lie in: the GPU's, where there is one."""

    start_up: float
    idle: float
    speeds: dict[Kind, Speed]

    def of(self, kind: Kind) -> Speed:
        """As measured, or extrapolated from what is most like it."""
        if kind in self.speeds:
            return self.speeds[kind]
        others = [other for other in self.speeds if type(other) is type(kind)]
        near = min(others, key=lambda other: unlikeness(kind, other))
        return self.speeds[near].scaled(kind.size / near.size)


def unlikeness(one: Kind, other: Kind) -> tuple[bool, int, float]:
    """How far apart two kinds of work of one class are: network, what is done with it, size."""
    differences = sum(value != vars(other)[name] for name, value in vars(one).items())
    return (
        one.net.network != other.net.network,
        differences,
        abs(math.log(one.size / other.size)),
    )


FORK_SECONDS = 0.1
"""Until a run steps whose process is a fork of the warm one (measured: benchmarks/pipeline.py)."""


def calibrate(kinds: Sequence[Kind], device: torch.device, jobs: int, budget: float) -> Calibration:
    """Try ``kinds`` in their order for ``budget`` seconds, ``jobs`` at once; before them, and
    without a limit, the smallest of each class.

    Raises:
        UserError: a trial does not fit into memory, or its parts do not fit each other.
    """
    smallest: dict[type, Kind] = {}
    for kind in sorted(kinds, key=lambda kind: kind.size, reverse=True):
        smallest[type(kind)] = kind
    context = multiprocessing.get_context("spawn")
    deadline = time.monotonic() + budget
    with ProcessPoolExecutor(min(jobs, WORKERS), context, _begin, (device,)) as pool:
        trials = {
            kind: pool.submit(_try, kind, device, None if kind in smallest.values() else deadline)
            for kind in dict.fromkeys([*smallest.values(), *kinds])
        }
        try:
            start_up, idle = pool.submit(_began).result()
            found = {kind: trial.result() for kind, trial in trials.items()}
        except BrokenProcessPool:
            raise UserError(
                f"forecast: one of {min(jobs, WORKERS)} trials at once was killed, most likely for"
                " want of memory; lower --cores, or batch_size"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
    start_up = min(start_up, FORK_SECONDS)
    return Calibration(start_up, idle, {kind: speed for kind, speed in found.items() if speed})


# -- in a process of its own ---------------------------------------------------------------------

_BEGAN: list[float] = []


def _begin(device: torch.device) -> None:
    """Called once all modules are imported, as a training process imports them."""
    keep_freed_memory()
    torch.zeros(1, device=device)
    _BEGAN[:] = time.process_time(), 0.0 if device.type == "cuda" else peak()


def _began() -> tuple[float, float]:
    return _BEGAN[0], _BEGAN[1]


class _Late(Exception):
    """A trial goes on long after the deadline."""


def _late(*_: object) -> None:
    raise _Late


def _try(kind: Kind, device: torch.device, deadline: float | None) -> Speed | None:
    """Speed of a kind of work; None where it is past the deadline, or lasts long beyond it."""
    if deadline is not None:
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, left + GRACE)
    try:
        return measure(kind, device)
    except _Late:
        return None
    except torch.OutOfMemoryError:
        raise UserError(
            f"forecast: a step of '{kind.net.network}' does not fit into this GPU's memory;"
            " lower batch_size"
        ) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
