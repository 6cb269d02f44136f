"""Where students look beside where their teachers look: Grad-CAM maps of a sample of test images.

Exits are paired as OtO pairs them, by place, the last with the teacher's last. Maps are brought to
the images' size, and compared where both had at least ``SMALLEST`` pixels a side: below, a map has
too few places to tell one from another.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from stagewise.analysis.records.gradcam import IMAGES, SMALLEST, picture
from stagewise.analysis.records.logits import output_names
from stagewise.data.batches import Split, TaskData
from stagewise.errors import UserError
from stagewise.measure.gradcam import exit_maps
from stagewise.measure.likeness import spearman, top_overlap
from stagewise.measure.probe import stratified
from stagewise.methods._exits import by_place
from stagewise.models.store import load_network
from stagewise.training.observer import Row

BATCH = 100
PICTURES = 4
"""Images of the sample whose maps are kept, each of another class."""
DIGITS = 6

Pictures = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class Seen:
    """A network's ``maps`` (images, H, W) by the stage of their exit, of how many ``stages``."""

    maps: dict[int, Tensor]
    stages: int

    @property
    def names(self) -> dict[int, str]:
        """Stage of an exit → what records call it."""
        return dict(zip(self.maps, output_names(len(self.maps)), strict=False))


def compare(
    students: Mapping[str, str], root: Path, data: TaskData, count: int, kept: Collection[str]
) -> tuple[list[Row], Pictures]:
    """A row per student and exit: side of both maps, and where these are large enough means over
    the images on which both are no plain surface. Then pictures of the students ``kept``.

    ``students``: a student's folder → its teacher's, in ``root``. ``count``: images, at most.
    """
    index = stratified(data.test.labels, count, 0)
    sample = Split(data.test.images[index], data.test.labels[index])
    shown, size = first_of_classes(sample.labels), data.shape[1]
    teachers: dict[str, Seen] = {}
    rows: list[Row] = []
    pictures = {IMAGES: sample.images[shown].cpu().numpy()}
    for path, teacher in students.items():
        if teacher not in teachers:
            teachers[teacher] = look(root / teacher, data, sample)
        own, theirs = look(root / path, data, sample), teachers[teacher]
        partners = by_place([*own.maps], [*theirs.maps], own.stages)
        for (place, maps), partner in zip(own.maps.items(), partners, strict=True):
            row = {"path": path, "exit": own.names[place], "side": maps.shape[1]}
            row |= {"teacher": teacher, "teacher_exit": theirs.names[partner]}
            row |= {"teacher_side": theirs.maps[partner].shape[1]}
            rows.append(row | likeness(maps, theirs.maps[partner], size))
            if path in kept and rows[-1]["images"]:
                both = (own, path, place), (theirs, teacher, partner)
                pictures |= {
                    picture(folder, seen.names[exit]): _drawn(seen.maps[exit][shown], size)
                    for seen, folder, exit in both
                }
    return rows, pictures


def first_of_classes(labels: Tensor) -> list[int]:
    """Numbers of the first images that are of ``PICTURES`` classes, of fewer where there are not
    so many."""
    first: dict[int, int] = {}
    for number, label in enumerate(labels.tolist()):
        first.setdefault(label, number)
    return [*first.values()][:PICTURES]


def look(folder: Path, data: TaskData, sample: Split) -> Seen:
    """The maps of a run's network.

    Raises:
        UserError: its weights are not there, or were made for other images or classes.
    """
    path = folder / "model.safetensors"
    network, architecture = load_network(path)
    made = (architecture.channels, architecture.image_size, architecture.classes)
    if made != (given := (*data.shape, len(data.classes))):
        raise UserError(
            f"{path}: its (channels, pixels, classes) {made} do not fit those of the data, {given};"
            " delete it and run again"
        )
    network.to(sample.images.device)
    parts = [
        exit_maps(network, data.normalise(images), labels)
        for images, labels in zip(
            sample.images.split(BATCH), sample.labels.split(BATCH), strict=True
        )
    ]
    maps = {place: torch.cat([part[place] for part in parts]).cpu() for place in parts[0]}
    return Seen(maps, len(network.stages))


def likeness(own: Tensor, theirs: Tensor, size: int) -> dict[str, Any]:
    """The columns that two networks' maps (images, H, W) give at ``size`` pixels a side."""
    nothing = {"images": 0, "spearman": "", "overlap": ""}
    if min(own.shape[1], theirs.shape[1]) < SMALLEST:
        return nothing
    found = []
    for pair in zip(own.split(BATCH), theirs.split(BATCH), strict=True):
        a, b = (resized(maps, size).flatten(1).numpy() for maps in pair)
        found.append([spearman(a, b), top_overlap(a, b)])
    rho, overlap = np.concatenate(found, axis=1)
    sound = np.isfinite(rho)
    if not sound.any():
        return nothing
    means = (round(float(values[sound].mean()), DIGITS) for values in (rho, overlap))
    return dict(zip(nothing, (int(sound.sum()), *means), strict=True))


def resized(maps: Tensor, size: int) -> Tensor:
    """(images, H, W) → (images, size, size), bilinear."""
    if maps.shape[1] == size:
        return maps
    return interpolate(maps[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]


def _drawn(maps: Tensor, size: int) -> NDArray[np.uint8]:
    """Maps as they are kept, a byte a pixel."""
    return (255 * resized(maps, size)).round().to(torch.uint8).numpy()
