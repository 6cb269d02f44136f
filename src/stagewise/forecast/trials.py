"""A trial: how long one kind of work takes, and how much memory, in this process.

Trials train on random pixels, keep nothing, and write nothing.
"""

import json
import math
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import singledispatch
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from stagewise import catalogue
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.forecast.work import Effort, Forward, Net, Pruning, Training, built, macs
from stagewise.methods.base import make_method
from stagewise.models.features import Network
from stagewise.models.store import build
from stagewise.process.epochs import Progress
from stagewise.process.machine import give_back_memory
from stagewise.recipes.base import Phase
from stagewise.runs.train import AUGMENTATION
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.precision import precision
from stagewise.training.teachers import TableTeacher, Teacher, teacher_for
from stagewise.training.trainer import Trainer

SECONDS = 0.25
"""Time that a trial goes on for, after its first pass and two more."""

TRIAL_MACS = {"cpu": 1e10, "cuda": 2e12}
"""MACs of one pass of a trial, about; a batch that needs more is tried in part."""

STEPS = 20
"""Most training steps of one pass."""

LONG, LR = 10**6, 1e-4
"""Epochs of a trial that ends itself; a rate at which nothing happens."""


@dataclass(frozen=True)
class Speed:
    """``seconds`` of one unit of an effort; ``bytes`` that it takes beyond an idle process."""

    seconds: float
    bytes: float

    def scaled(self, factor: float) -> "Speed":
        """The same for work that is larger by a factor."""
        return Speed(self.seconds * factor, self.bytes * factor)


@singledispatch
def measure(effort: Effort, device: torch.device) -> Speed:
    """Speed of one effort, in this process."""
    raise TypeError(effort)


@measure.register
def _(effort: Training, device: torch.device) -> Speed:
    per_image, limit = effort.size, TRIAL_MACS[device.type]
    batch = min(effort.batch, max(2, round(limit / per_image)))
    steps = max(1, min(STEPS, round(limit / (per_image * batch))))
    images = min(effort.images, steps * batch)
    spec = json.loads(effort.method)
    settings = json.loads(effort.settings) | {"batch_size": batch}
    data = _random_data(effort.net, images, device)
    batches = TrainingBatches(
        data, seed=0, batch_size=batch, **{name: settings[name] for name in AUGMENTATION}
    )

    def trial() -> list[float]:
        stopwatch = _Stopwatch(_clock(device, settings["threads"]))
        with suppress(_Enough):
            Trainer(
                build(effort.net.architecture, 0).to(device),
                make_method(spec["method"]).to(device),
                spec["weights"],
                _teacher(effort, spec, batches, settings["dtype"], device),
                batches,
                [Phase("trial", LONG, LR, effort.trains, effort.reestimate)],
                settings | {"schedule": "constant", "evaluate_every": LONG},
                checkpoint=_NoCheckpoint(Path()),
                progress=stopwatch,
                precision=precision(settings["dtype"], device),
            ).run()
        return stopwatch.seconds

    seconds, extra = _watched(trial, device)
    return _speed(effort, seconds / images, extra, batch, 4)


@measure.register
def _(effort: Forward, device: torch.device) -> Speed:
    batch = min(effort.batch, max(1, round(TRIAL_MACS[device.type] / effort.size)))

    def trial() -> list[float]:
        stopwatch = _Stopwatch(_clock(device, effort.threads))
        network = build(effort.net.architecture, 0).to(device).eval()
        images = _images(effort.net, batch).float().to(device)
        images = images.contiguous(memory_format=torch.channels_last)
        with suppress(_Enough), torch.no_grad():
            while True:
                with precision(effort.dtype, device):
                    network(images).logits.sum().item()
                stopwatch.lap()
        return stopwatch.seconds

    seconds, extra = _watched(trial, device)
    return _speed(effort, seconds / batch, extra, batch, 1)


@measure.register
def _(effort: Pruning, device: torch.device) -> Speed:
    from stagewise.pruning.prune import Limits, prune

    def trial() -> list[float]:
        clock = _clock(torch.device("cpu"), effort.threads)
        architecture = effort.net.whole.architecture
        network = build(architecture, 0)
        start = clock()
        prune(
            network,
            architecture,
            criterion=effort.criterion,
            ratio=effort.net.ratio,
            limits=Limits(1, 0.0),
            tolerance=math.inf,
            seed=0,
        )
        return [clock() - start]

    return Speed(*_watched(trial, device))


def _speed(
    effort: Training | Forward, seconds: float, extra: float, batch: int, kept: int
) -> Speed:
    """From a trial of a part of the batch, of a network of about the effort's MACs.

    ``kept``: how often the weights lie in memory (gradients, velocity, a copy to be saved); the
    rest grows with the batch.
    """
    architecture_macs = sum(built(effort.net).macs.values())
    weights = kept * built(effort.net).bytes
    growing = max(0.0, extra - weights) * effort.batch / batch
    return Speed(seconds * macs(effort.net) / architecture_macs, weights + growing)


def _clock(device: torch.device, threads: int) -> Callable[[], float]:
    """Sets the number of threads. One thread's own time counts, so that others who use the machine
    meanwhile do not."""
    torch.set_num_threads(threads)
    return time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter


class _Enough(Exception):
    """A trial is over."""


class _Stopwatch(Progress):
    """Ends a trial after one pass that warms up, and at least two more."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__("forecast", LONG)
        self.clock = clock
        self.ends = [clock()]

    def epoch(self, row: dict[str, Any], *, due: bool) -> None:
        """An epoch ended."""
        self.lap()

    def lap(self) -> None:
        """A pass ended."""
        self.ends.append(self.clock())
        if len(self.ends) > 3 and self.ends[-1] - self.ends[1] > SECONDS:
            raise _Enough

    @property
    def seconds(self) -> list[float]:
        """Of each pass after the first."""
        return [end - start for start, end in pairwise(self.ends[1:])]


class _NoCheckpoint(Checkpoint):
    """Neither reads nor writes."""

    def save(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        """Nothing to do."""

    def load(self) -> None:
        """There is none."""


class _Known(TableTeacher):
    """Its answers are all known: what a step takes where the table has them. The student stands in
    for the teacher, but for the width of the ``pooled`` vectors, if any."""

    def __init__(self, network: Network, batches: TrainingBatches, pooled: int) -> None:
        super().__init__(network, batches, pooled=bool(pooled))
        if pooled:
            labels = batches.data.train.labels
            self.answers[-1] = torch.zeros(len(labels), pooled, device=labels.device)

    def prepare(self, index: Tensor, view: Tensor) -> None:
        """Nothing to do."""


def _teacher(
    effort: Training,
    spec: dict[str, Any],
    batches: TrainingBatches,
    dtype: str,
    device: torch.device,
) -> Teacher | None:
    """What answers in a trial: the teacher live, or the student as a table that is full."""
    needs = catalogue.method_needs(spec["method"]["method"])
    if effort.teacher:
        network = build(effort.teacher.architecture, 0).to(device).eval().requires_grad_(False)
        return teacher_for(network, batches, needs, precision(dtype, device))
    if "teacher" in needs:
        return _Known(build(effort.net.architecture, 0).to(device), batches, effort.pooled)
    return None


def _images(net: Net, count: int) -> Tensor:
    """(count, C, H, W) random bytes."""
    return torch.randint(0, 256, (count, net.channels, *[net.image_size] * 2), dtype=torch.uint8)


def _random_data(net: Net, count: int, device: torch.device) -> TaskData:
    """Random pixels; two images for validation and test."""
    images = _images(net, count).to(device)
    labels = torch.arange(count, device=device) % net.classes
    half = torch.full((1, net.channels, 1, 1), 0.5, device=device)
    few = Split(images[:2], labels[:2])
    classes = [str(number) for number in range(net.classes)]
    return TaskData(Split(images, labels), few, few, classes, half, half)


def _watched(trial: Callable[[], list[float]], device: torch.device) -> tuple[float, float]:
    """Median seconds of a trial's passes, and the bytes that it took at its peak: of the GPU's
    memory, or of this process beyond what it had."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        seconds = median(trial())
        return seconds, float(torch.cuda.max_memory_allocated(device))
    give_back_memory()
    _forget_peak()
    before = peak()
    seconds = median(trial())
    return seconds, max(0.0, peak() - before)


def _forget_peak() -> None:
    """Linux forgets the peak of a process's memory on request."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """Largest memory of this process since ``_forget_peak``, bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
