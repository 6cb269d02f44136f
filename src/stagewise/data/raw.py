"""Raw data: a source's images as it gave them, checked and stored once."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from stagewise.data.arrays import check_images, load_arrays, save_arrays
from stagewise.data.names import are_names
from stagewise.errors import UserError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RawData:
    """``images`` (N, C, H, W) uint8 and ``labels`` (N,) int64; a source with a test set of its own
    gives it in ``test_images`` and ``test_labels``.

    ``own_images``: a user's, whose copies are kept together when splits are drawn; a published set
    is split as it is. ``notes``: what is worth keeping beside, such as the ``listing`` of folders.
    """

    images: Images
    labels: Labels
    classes: list[str]
    test_images: Images | None = None
    test_labels: Labels | None = None
    notes: dict[str, str] = field(default_factory=dict)
    own_images: bool = False


def save_raw(raw: RawData, path: Path | str) -> None:
    """Store a source's arrays and their checksums, atomically."""
    arrays: dict[str, NDArray[Any]] = {"images": raw.images, "labels": raw.labels}
    if raw.test_images is not None and raw.test_labels is not None:
        arrays |= {"test_images": raw.test_images, "test_labels": raw.test_labels}
    own = {"own_images": True} if raw.own_images else {}
    save_arrays(arrays, {"classes": raw.classes, "notes": raw.notes, **own}, path)


def load_raw(path: Path | str) -> RawData:
    """Read what ``save_raw`` wrote; raises ``UserError`` where it is not raw data."""
    arrays, info = load_arrays(path)
    classes, notes = info.get("classes"), info.get("notes")
    if not isinstance(classes, list) or not isinstance(notes, dict):
        raise UserError(f"{path}: states no classes or notes; delete it and run `snakemake data`")
    if not are_names(classes):
        raise UserError(
            f"{path}: its 'classes' are no printable names; delete it and run `snakemake data`"
        )
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
        bool(info.get("own_images")),
    )


def noted(path: Path | str, name: str) -> str:
    """One of the notes of a raw data file, without its arrays; empty where there is none."""
    if not Path(path).is_file():
        return ""
    try:
        with safe_open(str(path), "np") as stream:
            found = json.loads((stream.metadata() or {})["info"])["notes"][name]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return str(found)
