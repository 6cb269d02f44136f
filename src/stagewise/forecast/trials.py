"""A trial: how long one kind of work takes, and how much memory, in this process.

Trials train on random pixels, keep nothing, and write nothing.
"""

import json
import math
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from stagewise import catalogue
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.forecast.work import Answers, Kind, Net, Prunings, Steps, built, macs
from stagewise.methods.base import DistillationMethod, make_method
from stagewise.models.features import Network
from stagewise.models.store import build
from stagewise.process.epochs import Progress
from stagewise.process.machine import give_back_memory
from stagewise.runs.start import make_part, make_setup
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.precision import precision
from stagewise.training.teachers import LiveTeacher, TableTeacher, Teacher
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
    """``seconds`` of one unit of a kind of work; ``bytes`` that it takes beyond an idle process."""

    seconds: float
    bytes: float

    def scaled(self, factor: float) -> "Speed":
        """The same for work that is larger by a factor."""
        return Speed(self.seconds * factor, self.bytes * factor)


@singledispatch
def measure(kind: Kind, device: torch.device) -> Speed:
    """Speed of one kind of work, in this process."""
    raise TypeError(kind)


@measure.register
def _(kind: Steps, device: torch.device) -> Speed:
    per_image, limit = kind.size, TRIAL_MACS[device.type]
    batch = min(kind.batch, max(2, round(limit / per_image)))
    steps = max(1, min(STEPS, round(limit / (per_image * batch))))
    images = min(kind.images, steps * batch)
    settings = replace(kind.settings, batch_size=batch, schedule="constant", evaluate_every=LONG)
    data = _random_data(kind.net, images, device)
    batches = TrainingBatches(data, seed=0, settings=settings)
    spec = json.loads(kind.method)
    name = spec["method"]["method"]

    def trial() -> list[float]:
        stopwatch = _Stopwatch(_clock(device, settings.threads))
        with suppress(_Enough):
            network = build(kind.net.architecture, 0).to(device)
            teacher = _frozen(kind.teacher, device) if kind.teacher else None
            Trainer(
                network,
                _method(spec["method"], network, teacher, data),
                catalogue.method_weights(name) | spec["weights"],
                _answering(kind, teacher, batches, device),
                batches,
                [kind.phase("trial", LONG, LR, kind.trains, exits=kind.exits)],
                settings,
                checkpoint=_NoCheckpoint(Path()),
                progress=stopwatch,
                precision=precision(settings.dtype, device),
            ).run()
        return stopwatch.seconds

    seconds, extra = _watched(trial, device)
    return _speed(kind, seconds / images, extra, batch, 4)


@measure.register
def _(kind: Answers, device: torch.device) -> Speed:
    batch = min(kind.batch, max(1, round(TRIAL_MACS[device.type] / kind.size)))

    def trial() -> list[float]:
        stopwatch = _Stopwatch(_clock(device, kind.threads))
        network = build(kind.net.architecture, 0).to(device).eval()
        images = _images(kind.net, batch).float().to(device)
        images = images.contiguous(memory_format=torch.channels_last)
        with suppress(_Enough), torch.no_grad():
            while True:
                with precision(kind.dtype, device):
                    network(images).logits.sum().item()
                stopwatch.lap()
        return stopwatch.seconds

    seconds, extra = _watched(trial, device)
    return _speed(kind, seconds / batch, extra, batch, 1)


@measure.register
def _(kind: Prunings, device: torch.device) -> Speed:
    from stagewise.pruning.prune import prune
    from stagewise.pruning.reach import Limits

    def trial() -> list[float]:
        clock = _clock(torch.device("cpu"), kind.threads)
        architecture = kind.net.whole.architecture
        network = build(architecture, 0)
        start = clock()
        prune(
            network,
            architecture,
            criterion=kind.criterion,
            ratio=kind.net.ratio,
            limits=Limits(1, 0.0),
            tolerance=math.inf,
            seed=0,
            data=_random_data(kind.net, kind.images, torch.device("cpu")),
        )
        return [clock() - start]

    return Speed(*_watched(trial, device))


def _speed(kind: Steps | Answers, seconds: float, extra: float, batch: int, kept: int) -> Speed:
    """From a trial of a part of the batch, of a network of about its MACs.

    ``kept``: how often the weights lie in memory (gradients, velocity, a copy to be saved); the
    rest grows with the batch.
    """
    architecture_macs = sum(built(kind.net).macs.values())
    weights = kept * built(kind.net).bytes
    growing = max(0.0, extra - weights) * kind.batch / batch
    return Speed(seconds * macs(kind.net) / architecture_macs, weights + growing)


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


class _Full(TableTeacher):
    """Its answers are all known: what a step takes where the table has them."""

    def prepare(self, index: Tensor, view: Tensor) -> None:
        """Nothing to do."""


def _frozen(net: Net, device: torch.device) -> Network:
    """A teacher."""
    return build(net.architecture, 0).to(device).eval().requires_grad_(False)


def _method(
    entry: dict[str, Any], network: Network, teacher: Network | None, data: TaskData
) -> DistillationMethod:
    """The method, with a part of the teacher that was never trained, where it needs one."""
    needs = catalogue.method_needs(entry["method"])
    setup = make_setup(needs, network, teacher, data, 0)
    if needs.teacher_part and teacher:
        part = make_part({"method": needs.teacher_part}, setup, teacher)
        setup = replace(setup, teacher_part=part)
    return make_method(entry, setup).to(data.train.labels.device)


def _answering(
    kind: Steps, teacher: Network | None, batches: TrainingBatches, device: torch.device
) -> Teacher | None:
    """What answers in a trial: the teacher live, or as a table that is full."""
    if teacher is None:
        return None
    needs = catalogue.method_needs(json.loads(kind.method)["method"]["method"])
    if kind.live:
        return LiveTeacher(teacher, precision(kind.settings.dtype, device))
    return _Full(teacher, batches, pooled=needs.teacher_pooled)


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
