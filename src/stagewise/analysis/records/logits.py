"""What a network answered: the logits that a run left, read and checked, and its outputs' names.

An output is an exit ("1" … "K"), the ensemble of all exits, or, without exits, "final".
"""

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.errors import UserError
from stagewise.files import regular_size

SPLITS = ("validation", "test")
FINAL, ENSEMBLE = "final", "ensemble"
LARGEST_LOGITS = 8 * 2**30
"""Bytes of the largest file of logits that is read: those of 500,000 images, 4 exits and 1,000
classes."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
CORRUPTED = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, TypeError),
    *(AttributeError, MemoryError, RuntimeError, SyntaxError, TokenError),
)
"""What numpy raises where an npz file is damaged, is another kind of file, or lies about sizes."""


@dataclass(frozen=True)
class Logits:
    """One split of a run: ``logits`` (exits, images, classes) float32, ``labels`` (images,)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def outputs(self) -> list[NDArray[np.floating]]:
        """(images, classes) of each exit and, where there are several, of their ensemble."""
        exits = [*self.logits]
        return exits if len(exits) == 1 else [*exits, metrics.ensemble(self.logits)]


def read_logits(folder: Path, splits: Iterable[str] = SPLITS) -> dict[str, Logits]:
    """Split to its logits and labels.

    Raises:
        UserError: ``logits.npz`` is missing, corrupted, or its arrays do not fit together.
    """
    file = folder / "logits.npz"
    mend = f"delete {folder} and run again"
    try:
        size = regular_size(file)
        if size > LARGEST_LOGITS:
            raise ValueError(f"{size} bytes, at most {LARGEST_LOGITS} are read")
        with zipfile.ZipFile(file) as arrays:
            found = {
                s: Logits(read_array(arrays, s), read_array(arrays, f"{s}_labels")) for s in splits
            }
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except CORRUPTED as error:
        raise UserError(f"{file}: corrupted logits ({error}); {mend}") from None
    for split, part in found.items():
        if part.logits.ndim != 3 or part.logits.shape[1:2] != part.labels.shape:
            raise UserError(
                f"{file}: {split} has logits {part.logits.shape} and labels {part.labels.shape}, "
                f"expected (exits, images, classes) and (images,); {mend}"
            )
        if part.logits.dtype.kind != "f" or part.labels.dtype.kind not in "iu":
            raise UserError(
                f"{file}: {split} has logits of type {part.logits.dtype} and labels of type "
                f"{part.labels.dtype}, expected floats and whole numbers; {mend}"
            )
        exits, images, classes = part.logits.shape
        if 0 in part.logits.shape or not 0 <= part.labels.min() <= part.labels.max() < classes:
            raise UserError(
                f"{file}: {split} has {exits} exits, {images} images and {classes} classes, or "
                f"labels that are none of these; {mend}"
            )
    shapes = [(part.logits.shape[0], part.logits.shape[2]) for part in found.values()]
    if len(set(shapes)) > 1:
        raise UserError(
            f"{file}: its splits have {' and '.join(map(str, shapes))} exits and classes; {mend}"
        )
    return found


def read_array(arrays: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an npz file, read when its header has told that it is as long as its member; no
    member is packed, so none is longer than the file."""
    member = arrays.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        raise ValueError(f"'{name}' is packed")
    with arrays.open(member) as stream:
        version = npy.read_magic(stream)
        if version not in HEADERS:
            raise ValueError(f"'{name}' is of version {version}")
        shape, _, dtype = HEADERS[version](stream)
        length = prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or stream.tell() + length != member.file_size:
            raise ValueError(f"'{name}' states {length} bytes and has {member.file_size}")
    with arrays.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def output_names(exits: int) -> list[str]:
    """Names of a network's outputs, in the order of ``Logits.outputs``."""
    return [FINAL] if exits == 1 else [*(str(k + 1) for k in range(exits)), ENSEMBLE]


def main_output(names: pd.Series) -> str:
    """The output that stands for a network: its ensemble where it has exits."""
    return ENSEMBLE if ENSEMBLE in set(names) else FINAL


def output_called(names: pd.Series, name: str) -> str:
    """An output's name in the records: ``main`` and ``last`` depend on the network."""
    if name == "main":
        return main_output(names)
    if name == "last":
        numbered = [output for output in set(names) if output.isdigit()]
        return max(numbered, key=int) if numbered else FINAL
    return name
