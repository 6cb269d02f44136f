"""Batches from data that live on the device as uint8, augmented there.

Order and views of an epoch come from a counter-based generator keyed by (seed, epoch): the view of
an image is a function of (seed, epoch, index) alone, whatever the batch size, device or arm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from stagewise.data.augment import mix, rotate
from stagewise.data.draws import drawn
from stagewise.data.prepared import load_prepared
from stagewise.errors import UserError
from stagewise.models.features import Batch
from stagewise.study.spec import Images, Training


@dataclass(frozen=True)
class Split:
    """``images`` (N, C, H, W) uint8 and ``labels`` (N,) int64 on the device."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TaskData:
    """What a run sees of a study's data: its classes, renumbered from 0, and its images."""

    train: Split
    validation: Split
    test: Split
    classes: list[str]
    mean: Tensor
    std: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and image size."""
        return self.train.images.shape[1], self.train.images.shape[2]

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) → float32 with the training set's mean 0 and deviation 1."""
        scaled = (images.float() / 255 - self.mean) / self.std
        return scaled.contiguous(memory_format=torch.channels_last)


def load_task(path: Path | str, seen: Images, device: torch.device) -> TaskData:
    """The data that a run sees.

    Validation and test sets always hold every image of the task's classes.
    """
    arrays, info = load_prepared(path)
    task, found = seen.task, drawn(arrays, info, seen.draw)
    numbers = found.tasks.get(task, [])
    if len(numbers) < 2:
        raise UserError(
            f"{path}: task '{task}' has {len(numbers)} classes; it needs at least two: change"
            " data.source_classes, or delete the file and run `snakemake data`"
        )
    renumber = np.full(len(info["classes"]), -1)
    renumber[numbers] = np.arange(len(numbers))

    def split(name: str, keep: Any = None) -> Split:
        pixels, labels = arrays[f"{name}.images"], arrays[f"{name}.labels"]
        chosen = np.flatnonzero(renumber[labels] >= 0) if keep is None else keep
        return Split(
            torch.from_numpy(pixels[chosen]).to(device),
            torch.from_numpy(renumber[labels[chosen]]).to(device),
        )

    def channel(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)

    return TaskData(
        split("train", found.few[task] if seen.images == "few" else None),
        split("validation"),
        split("test"),
        [info["classes"][number] for number in numbers],
        channel(info["mean"]),
        channel(info["std"]),
    )


def views_of(settings: Training) -> int:
    """Different crops and flips of one image."""
    return (2 * settings.crop + 1) ** 2 * (2 if settings.flip else 1)


def bounded(settings: Training) -> bool:
    """Whether crops and flips are all the views that there are."""
    endless = (settings.rotation, settings.auto_augment, settings.mixup, settings.cutmix)
    return not any(endless)


def steps_of(images: int, batch_size: int) -> int:
    """Batches of an epoch: a last one of fewer images counts, unless it has a single image, which
    batch norm cannot take."""
    whole, rest = divmod(images, batch_size)
    return whole + (rest > 1)


class TrainingBatches:
    """Shuffled and augmented batches of a training split.

    Every epoch visits each image once, but for those that ``steps_of`` leaves out. Augmentation: a
    random crop after padding by ``crop`` pixels and a random ``flip``, which give finitely many
    views; then ``rotation`` by up to so many degrees, ``auto_augment`` (its CIFAR policy) and
    ``mixup`` and ``cutmix`` (their alphas; 0 is none), which do not.
    """

    def __init__(
        self,
        data: TaskData,
        *,
        seed: int,
        settings: Training,
    ) -> None:
        self.data, self.seed, self.batch_size = data, seed, settings.batch_size
        self.crop, self.flip = settings.crop, settings.flip
        self.rotation, self.auto_augment = settings.rotation, settings.auto_augment
        self.mixup, self.cutmix = settings.mixup, settings.cutmix
        self.views, self.bounded = views_of(settings), bounded(settings)
        size = data.shape[1]
        # (N, C, dy, dx, H, W): a view of all crop windows, which takes no memory of its own.
        padded = pad(data.train.images, (self.crop,) * 4)
        self.windows = padded.unfold(2, size, 1).unfold(3, size, 1)

    def images(self, index: Tensor, view: Tensor) -> Tensor:
        """The given view of each given image, normalised: (B, C, H, W)."""
        return self.batch(index, view).images

    def __len__(self) -> int:
        return steps_of(len(self.data.train.labels), self.batch_size)

    def draw(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Images and views of one epoch (counted from 0 over the whole run), in the order in which
        they are shown: two int64 tensors (N,) on the data's device.

        A view is the number of a crop and flip, plus ``views`` times the epoch where the views are
        not bounded: what happens to an image is a function of (seed, index, view).
        """
        count = len(self.data.train.labels)
        device = self.data.train.labels.device
        generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
        views = torch.from_numpy(generator.integers(self.views, size=count)).to(device)
        if not self.bounded:
            views += epoch * self.views
        order = torch.from_numpy(generator.permutation(count)).to(device)
        index = order[: len(self) * self.batch_size]
        return index, views[index]

    def batch(self, index: Tensor, view: Tensor) -> Batch:
        """The given views of the given images, with their labels."""
        side = 2 * self.crop + 1
        epoch, window = view // self.views, view % self.views
        flipped, shift = window // side**2, window % side**2
        images = self.windows[index, :, shift // side, shift % side]
        if self.flip:
            images = torch.where(flipped.bool().view(-1, 1, 1, 1), images.flip(3), images)
        if self.rotation:
            images = rotate(images, self.seed, epoch, index, degrees=self.rotation)
        if self.auto_augment:
            from stagewise.data.autoaugment import autoaugment

            images = autoaugment(images, self.seed, epoch, index)
        labels = target = self.data.train.labels[index]
        if self.mixup or self.cutmix:
            alphas = {"mixup_by": self.mixup, "cutmix_by": self.cutmix}
            mixed = mix(images, self.seed, epoch, index, **alphas)
            images = mixed.images
            own = one_hot(labels, len(self.data.classes)).float()
            target = mixed.share[:, None] * own + (1 - mixed.share[:, None]) * own[mixed.partner]
        return Batch(self.data.normalise(images), labels, index, view, target)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch."""
        for index, view in zip(
            *(part.split(self.batch_size) for part in self.draw(epoch)), strict=True
        ):
            yield self.batch(index, view)
