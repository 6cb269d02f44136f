"""Our loop on random images, an epoch at a time, and the multiplications of its step.

32x32 images, 100 classes, batch 64: no loop's speed depends on what the images show.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import count
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stagewise.catalogue import method_needs, method_recipe, method_weights
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.methods.base import Setup, make_method
from stagewise.models.features import Batch, Network
from stagewise.models.store import Architecture, build
from stagewise.process.epochs import Progress
from stagewise.recipes.base import make_phases
from stagewise.runs.start import make_part, make_setup
from stagewise.study.spec import Training
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.precision import precision
from stagewise.training.table import TableFolder
from stagewise.training.teachers import LiveTeacher, TableTeacher, Teacher, teacher_for
from stagewise.training.trainer import Trainer, own_stream

Pair = tuple[str, str]
"""Names of the teacher and of the student."""

Dtype = Literal["float32", "bfloat16"]

CLASSES, SIZE, BATCH = 100, 32, 64
IMAGES = 50_000
"""Of CIFAR-100's training set: a method that remembers images remembers so many, although fewer are
shown."""
EPOCHS = 240
"""Of a run."""
RATE = 0.00001
"""The rate is low, so that random images do not make a loss diverge; speed does not depend on
it."""


def architecture(name: str) -> Architecture:
    """A network as the papers use it."""
    return Architecture(name, {}, CLASSES, 3, SIZE)


def network(name: str, device: torch.device) -> Network:
    """New weights, on the device."""
    return build(architecture(name), seed=0).to(device)


def random_data(
    images: int, device: torch.device, size: int = SIZE, classes: int = CLASSES
) -> TaskData:
    """Random pixels, resident on the device."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, size, size), generator=generator, dtype=torch.uint8)
    split = Split(pixels.to(device), (torch.arange(images) % classes).to(device))
    half = torch.full((1, 3, 1, 1), 0.5, device=device)
    names = [str(number) for number in range(classes)]
    return TaskData(split, split, split, names, half, half / 2)


def networks(method: str, pair: Pair, data: TaskData) -> tuple[Network, Network, Setup]:
    """Student, frozen teacher, and what the method is built from; a part of the teacher is
    untrained."""
    device, needs = data.train.labels.device, method_needs(method)
    teacher = network(pair[0], device).eval().requires_grad_(False)
    student = network(pair[1], device)
    setup = make_setup(needs, student, teacher, data, seed=0)
    setup = replace(setup, labels=(torch.arange(IMAGES) % CLASSES).to(device))
    if needs.teacher_part:
        part = make_part({"method": needs.teacher_part}, setup, teacher)
        setup = replace(setup, teacher_part=part)
    return student, teacher, setup


class OurLoop(Trainer):
    """Our trainer in a recipe's first phase."""

    def __init__(
        self,
        method: str,
        pair: Pair,
        data: TaskData,
        folder: Path,
        dtype: Dtype = "float32",
        teaching: str = "live",
    ) -> None:
        """``teaching``: ``live`` (the table off), ``cold`` (an empty table at every epoch) or
        ``warm`` (a table that has every view of the epoch)."""
        device = data.train.labels.device
        settings = Training(batch_size=BATCH, epochs=EPOCHS, dtype=dtype, lr=RATE)
        batches = TrainingBatches(data, seed=0, settings=settings)
        student, self.frozen, setup = networks(method, pair, data)
        forward_precision = precision(dtype, device)
        answering: Teacher = LiveTeacher(self.frozen, forward_precision)
        if teaching != "live":
            tables, key = TableFolder(folder, 2**40), f"{pair[0]}-{method}-{dtype}-{teaching}"
            needs = method_needs(method)
            answering = teacher_for(self.frozen, batches, needs, forward_precision, tables, key)
            assert isinstance(answering, TableTeacher), f"{method} needs a live teacher"
        self.numbers: Iterator[int] = iter(lambda: 0, 1) if teaching == "warm" else count()
        self.forgets = teaching == "cold"
        super().__init__(
            student,
            make_method({"method": method}, setup).to(device),
            method_weights(method),
            answering,
            batches,
            make_phases(method_recipe(method), epochs=EPOCHS, lr=RATE),
            settings,
            checkpoint=Checkpoint(folder),
            progress=Progress(method, EPOCHS),
            precision=forward_precision,
        )
        with own_stream(device):
            self._start(self.phases[0])
        self._set_modes(self.phases[0])

    def epoch(self) -> int:
        """One epoch of what the trainer does; how many images it showed."""
        if self.forgets and isinstance(self.teacher, TableTeacher) and self.teacher.table:
            self.teacher.table.clear()
        self.at.epoch = next(self.numbers)
        with own_stream(self.data.train.labels.device):
            self._epoch(self.phases[0])
        return len(self.data.train.labels)


def flops(method: str, pair: Pair, folder: Path) -> dict[str, float]:
    """FLOPs of a step for each image: of the frozen ``teacher``'s forward pass, and of the
    ``student``'s and the method's with their gradients. Counted on tensors without numbers."""
    loop = OurLoop(method, pair, random_data(BATCH, torch.device("cpu")), folder)
    modules: list[nn.Module | None] = [loop.network, loop.frozen, loop.method]
    for module in filter(None, [*modules, loop.method.teacher_part]):
        module.to("meta")
    shown = loop.batches.batch(*loop.batches.draw(0))
    batch = Batch(**{f.name: getattr(shown, f.name).to("meta") for f in fields(shown)})
    with FlopCounterMode(display=False) as step:
        [(student, teacher, seen, terms)] = loop.passes(batch)
        weighted = [loop.step.weights[n] * t for n, t in terms.items() if loop.step.weights.get(n)]
        torch.stack(weighted).sum().backward()
        with torch.no_grad():
            loop.method.remember(student, teacher, seen)
    with FlopCounterMode(display=False) as answer, torch.no_grad():
        loop.frozen(seen.images)
    frozen = answer.get_total_flops()
    return {
        "student": (step.get_total_flops() - frozen) / BATCH,
        "teacher": frozen / BATCH,
    }
