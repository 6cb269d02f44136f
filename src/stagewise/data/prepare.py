"""Splits: stratified train, validation and test images, and the few that students see."""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.data.arrays import save_arrays
from stagewise.data.duplicates import Pictures, Repeated, pictures, repeated
from stagewise.data.names import shown
from stagewise.data.raw import Images, Labels, RawData
from stagewise.errors import UserError

Indices = NDArray[np.int64]
CHUNK = 1000
"""Images that are computed with at a time: floats of a whole set would not fit."""


def resize(images: Images, size: int) -> Images:
    """Bilinear resize of (N, C, H, W) to (N, C, size, size); the same array where it fits."""
    if images.shape[2:] == (size, size):
        return images
    height, width = images.shape[2:]

    def weights(old: int) -> NDArray[np.float64]:
        """(size, old) interpolation matrix, pixel centres aligned."""
        centre = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.floor(centre).astype(int)
        high = np.minimum(low + 1, old - 1)
        matrix = np.zeros((size, old))
        np.add.at(matrix, (np.arange(size), low), 1 - (centre - low))
        np.add.at(matrix, (np.arange(size), high), centre - low)
        return matrix

    rows, columns = weights(height), weights(width)
    resized = np.empty((*images.shape[:2], size, size), np.uint8)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        scaled = np.einsum("hi,ncij,wj->nchw", rows, part, columns, optimize=True)
        resized[start : start + CHUNK] = np.round(scaled)
    return resized


def channel_statistics(images: Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of (N, C, H, W), pixels from 0 to 1.

    The sums are of whole numbers, so they are exact.
    """
    channels = images.shape[1]
    total, squares = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK].astype(np.int64)
        total += part.sum((0, 2, 3))
        squares += (part * part).sum((0, 2, 3))
    count = images.size // channels
    spread = [math.sqrt(count * int(s) - int(t) ** 2) for s, t in zip(squares, total, strict=True)]
    return [int(t) / (255 * count) for t in total], [value / (255 * count) for value in spread]


def stratified(labels: Labels, share: float, seed: int, keep: int = 1) -> tuple[Indices, Indices]:
    """Indices of the rest and of a ``share`` of every class, each sorted; a share of 0 is none.

    However few images a class has, at least one is in the share, and ``keep`` are in the rest.

    Raises:
        UserError: there are too few images for that.
    """
    if not share:
        return np.arange(len(labels)), np.arange(0)
    from sklearn.model_selection import train_test_split

    try:
        rest, part = train_test_split(
            np.arange(len(labels)), test_size=share, stratify=labels, random_state=seed
        )
    except ValueError as error:
        raise UserError(
            f"data: a share of {share:g} of {len(labels)} images cannot be set aside for every"
            f" class ({error}); change validation or test"
        ) from None
    # Both are in drawn order, so what is moved is drawn too.
    part, rest = _at_least(1, part, rest, labels)
    rest, part = _at_least(keep, rest, part, labels)
    return np.sort(rest), np.sort(part)


def _at_least(count: int, side: Indices, other: Indices, labels: Labels) -> tuple[Indices, Indices]:
    """``side`` and ``other``, once each class that lacks images in the one took them from there."""
    missing = count - np.bincount(labels[side], minlength=labels.max() + 1)
    for number in np.unique(labels):
        if missing[number] > 0:
            moved = other[labels[other] == number][: missing[number]]
            side, other = np.append(side, moved), np.setdiff1d(other, moved)
    return side, other


def few(labels: Labels, per_class: int | None, classes: list[int], seed: int) -> Indices:
    """``per_class`` images of each of ``classes`` (all where None), drawn from ``seed``.

    Raises:
        UserError: a class has fewer images than are asked for.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for number in classes:
        members = np.flatnonzero(labels == number)
        if per_class is not None and per_class > len(members):
            raise UserError(
                f"data: {per_class} images per class are asked for, but class {number} has"
                f" {len(members)} for training; lower student_ or target_images_per_class"
            )
        order = generator.permutation(members)
        chosen.append(order if per_class is None else order[:per_class])
    return np.sort(np.concatenate(chosen))


def chosen_classes(raw: RawData, wanted: int | list[int] | None) -> RawData:
    """The first ``wanted`` classes, or those listed, numbered from 0 in that order; None is all.

    Raises:
        UserError: there is no such class.
    """
    if wanted is None:
        return raw
    numbers = list(range(wanted)) if isinstance(wanted, int) else wanted
    unknown = [number for number in numbers if number >= len(raw.classes)]
    if unknown:
        raise UserError(
            f"data.classes: {wanted} is more than the {len(raw.classes)} classes of the data;"
            f" use numbers below {len(raw.classes)}"
        )
    renumber = np.full(len(raw.classes), -1)
    renumber[numbers] = np.arange(len(numbers))

    def keep(images: Images | None, labels: Labels | None) -> tuple[Any, Any]:
        if images is None or labels is None:
            return None, None
        kept = np.flatnonzero(renumber[labels] >= 0)
        return images[kept], renumber[labels[kept]]

    images, labels = keep(raw.images, raw.labels)
    test_images, test_labels = keep(raw.test_images, raw.test_labels)
    classes = [raw.classes[number] for number in numbers]
    return replace(
        raw,
        images=images,
        labels=labels,
        classes=classes,
        test_images=test_images,
        test_labels=test_labels,
    )


@dataclass(frozen=True)
class Splits:
    """Indices of a source's images; ``test`` is empty where the source has a test set."""

    train: Indices
    validation: Indices
    test: Indices


def split(raw: RawData, settings: dict[str, Any], seen: list[Pictures], together: bool) -> Splits:
    """Stratified splits. With ``together`` they are drawn of the different pictures, images that
    repeat one follow it, and what the source's own test set holds is left out of both others.

    ``seen`` are the pictures of the images and, where there is one, of the test set.

    Raises:
        UserError: a class has too few images, or a share is too small.
    """
    pool = np.arange(len(raw.images))
    if together:
        pool = pool[~np.isin(seen[0], seen[1])] if len(seen) > 1 else pool
        drawn = pool[np.unique(seen[0][pool], return_index=True)[1]]
    else:
        drawn = pool
    test_share = settings["test"] if raw.test_labels is None else 0
    # ``validation`` is a share of the whole set, so that the splits add up as the config reads.
    share, seed = settings["validation"] / (1 - test_share), settings["split_seed"]
    _enough(raw, drawn, 1 + bool(test_share) + bool(share), together)
    rest, test = stratified(raw.labels[drawn], test_share, seed, 1 + bool(share))
    rest, test = drawn[rest], drawn[test]
    train, validation = stratified(raw.labels[rest], share, seed)

    def all_of(part: Indices) -> Indices:
        return pool[np.isin(seen[0][pool], seen[0][part])] if together else part

    return Splits(all_of(rest[train]), all_of(rest[validation]), all_of(test))


def _enough(raw: RawData, drawn: Indices, least: int, together: bool) -> None:
    """Raises ``UserError`` naming a class that has fewer than ``least`` images to be drawn."""
    for name, count in zip(
        raw.classes, np.bincount(raw.labels[drawn], minlength=len(raw.classes)), strict=True
    ):
        if count < least:
            kind = "different images" if together else "images"
            raise UserError(
                f"data: class '{shown(name)}' has {count} {kind}, but the splits need {least}; add"
                " some, or leave the class out with data.classes"
            )


def _deviations(std: list[float]) -> list[float]:
    """The deviations, 1 for a channel that is the same everywhere: less its mean it is 0.

    Raises:
        UserError: all channels are.
    """
    constant = [number for number, value in enumerate(std) if not value]
    if len(constant) == len(std):
        raise UserError(
            "data: all pixels of all training images are equal, so there is nothing to learn;"
            " change the images"
        )
    if constant:
        print(f"channels {constant} (from 0) have one value in all training images; they become 0")
    return [value or 1.0 for value in std]


def prepare(raw: RawData, settings: dict[str, Any], path: Path | str) -> dict[str, Any]:
    """Split, resize and store a study's data; returns what the record says of it.

    ``settings`` is the config's ``data`` block, without what the source alone uses. Stored are
    uint8 images of the three splits, labels, and index arrays into the training split:
    ``few.all`` and ``few.target``. Returned too, where there are any: ``duplicates``.

    Raises:
        UserError: the splits cannot be drawn as the settings ask, or nothing can be learnt.
    """
    raw = chosen_classes(raw, settings["classes"])
    seen = pictures(raw.images, raw.test_images)
    asked = settings.get("duplicates_together")
    together = raw.own_images if asked is None else bool(asked)
    splits = split(raw, settings, seen, together)
    train, validation, images = splits.train, splits.validation, raw.images
    test_images, test_labels, test_seen = raw.test_images, raw.test_labels, seen[-1]
    if test_images is None or test_labels is None:
        test_images, test_labels = images[splits.test], raw.labels[splits.test]
        test_seen = seen[0][splits.test]
    classes = list(range(len(raw.classes)))
    unknown = [number for number in settings["source_classes"] if number not in classes]
    if unknown:
        raise UserError(
            f"data.source_classes: {unknown} are no classes of '{settings['source']}',"
            f" which has {len(classes)}; use 0 to {len(classes) - 1}"
        )
    target = [number for number in classes if number not in settings["source_classes"]]
    if not target:
        raise UserError(
            f"data.source_classes: all {len(classes)} classes are listed, so none is the target;"
            " leave at least two"
        )
    labels, seed = raw.labels[train], settings["split_seed"]
    size = int(settings.get("image_size") or images.shape[2])
    arrays: dict[str, NDArray[Any]] = {
        "train.images": resize(images[train], size),
        "train.labels": labels,
        "validation.images": resize(images[validation], size),
        "validation.labels": raw.labels[validation],
        "test.images": resize(test_images, size),
        "test.labels": test_labels,
        "few.all": few(labels, settings["student_images_per_class"], classes, seed),
        "few.target": few(labels, settings["target_images_per_class"], target, seed),
    }
    mean, std = channel_statistics(arrays["train.images"])
    info: dict[str, Any] = {
        "classes": raw.classes,
        "tasks": {"all": classes, "source": settings["source_classes"], "target": target},
        "mean": mean,
        "std": _deviations(std),
        "counts": {name: len(array) for name, array in arrays.items()},
    }
    save_arrays(arrays, info, path)
    found = repeated([seen[0][train], seen[0][validation], test_seen])
    unused = len(images) - len(train) - len(validation) - len(splits.test)
    if found.images or unused:
        print(_told(found, unused, together))
        info["duplicates"] = {**asdict(found), "left_out": unused}
    return info


def _told(found: Repeated, unused: int, together: bool) -> str:
    """What the log says of pictures that are there more than once."""
    if together:
        what = "each picture is on one side of the splits"
        what += f"; {unused} training images that the test set holds are left out" * bool(unused)
    else:
        what = f"{found.shared} pictures are in more than one split, as they were drawn"
    return f"duplicates: {found.images} images repeat another; {what}"
