"""Splits: stratified train, validation and test images, and the few that students see."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.data.arrays import check_images, load_arrays, save_arrays
from stagewise.data.sources.base import Images, Labels, RawData
from stagewise.errors import UserError

Indices = NDArray[np.int64]


def save_raw(raw: RawData, path: Path | str) -> None:
    """Store a source's arrays and their checksums, atomically."""
    arrays: dict[str, NDArray[Any]] = {"images": raw.images, "labels": raw.labels}
    if raw.test_images is not None and raw.test_labels is not None:
        arrays |= {"test_images": raw.test_images, "test_labels": raw.test_labels}
    save_arrays(arrays, {"classes": raw.classes, "notes": raw.notes}, path)


def load_raw(path: Path | str) -> RawData:
    """Read what ``save_raw`` wrote; raises ``UserError`` where it is not raw data."""
    arrays, info = load_arrays(path)
    classes, notes = info.get("classes"), info.get("notes")
    if not isinstance(classes, list) or not isinstance(notes, dict):
        raise UserError(f"{path}: states no classes or notes; delete it and run `snakemake data`")
    check_images(path, arrays, "images", "labels", len(classes))
    if arrays.keys() & {"test_images", "test_labels"}:
        check_images(path, arrays, "test_images", "test_labels", len(classes))
    return RawData(
        arrays["images"],
        arrays["labels"],
        classes,
        arrays.get("test_images"),
        arrays.get("test_labels"),
        notes,
    )


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

    scaled = np.einsum("hi,ncij,wj->nchw", weights(height), images, weights(width), optimize=True)
    resized: Images = np.round(scaled).astype(np.uint8)
    return resized


def stratified(labels: Labels, share: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of the rest and of a ``share`` of every class, each sorted.

    Raises:
        UserError: there are too few images for that.
    """
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
    return np.sort(rest), np.sort(part)


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


def prepare(raw: RawData, settings: dict[str, Any], path: Path | str) -> dict[str, Any]:
    """Split, resize and store a study's data; returns what the record says of it.

    ``settings`` is the config's ``data`` block. Stored are uint8 images of the three splits,
    labels, and index arrays into the training split: ``few.all`` and ``few.target``.
    """
    seed = settings["split_seed"]
    images = raw.images
    if raw.test_images is None or raw.test_labels is None:
        rest, test = stratified(raw.labels, settings["test"], seed)
        test_images, test_labels = images[test], raw.labels[test]
    else:
        rest = np.arange(len(images))
        test_images, test_labels = raw.test_images, raw.test_labels
    # ``validation`` is a share of the whole set, so that the splits add up as the config reads.
    share = settings["validation"] / (1 - settings["test"] if raw.test_images is None else 1)
    train, validation = stratified(raw.labels[rest], share, seed)
    train, validation = rest[train], rest[validation]
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
    labels = raw.labels[train]
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
    scaled = arrays["train.images"].astype(np.float64) / 255
    info = {
        "classes": raw.classes,
        "tasks": {"all": classes, "source": settings["source_classes"], "target": target},
        "mean": scaled.mean((0, 2, 3)).tolist(),
        "std": scaled.std((0, 2, 3)).tolist(),
        "counts": {name: len(array) for name, array in arrays.items()},
    }
    save_arrays(arrays, info, path)
    return info
