"""Grad-CAM maps as they were compared: ``gradcam.csv``, and the pictures beside it."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewise.analysis.records.csv_files import MEND, TEXT, read_csv
from stagewise.analysis.records.logits import CORRUPTED, read_array
from stagewise.errors import UserError
from stagewise.files import regular_size

SMALLEST = 8
"""Pixels a side of the smallest maps that are compared."""
IMAGES = "images"
"""Name of the images among the pictures."""
COLUMNS = (
    *("path", "exit", "side", "teacher", "teacher_exit", "teacher_side"),
    *("images", "spearman", "overlap"),
)
LARGEST_PICTURES = 256 * 2**20
"""Bytes of the largest file of pictures that is read."""


def picture(path: str, output: str) -> str:
    """Name of a network's maps, at an output, among the pictures."""
    return f"{path}/{output}"


def read_gradcam(file: Path | str, runs: pd.DataFrame) -> pd.DataFrame:
    """``gradcam.csv``, a row per student and exit, with what a plan's ``runs`` say of these: pair,
    arm, seed, display.

    Raises:
        UserError: it is missing, broken, or of another plan.
    """
    table = read_csv(file, COLUMNS, key=("path", "exit"), text=(*TEXT, "teacher", "teacher_exit"))
    known = runs[["path", "pair", "arm", "seed", "display"]]
    if strange := sorted({*table["path"]} - {*known["path"]}):
        raise UserError(f"{file}: '{strange[0]:.80}' is no run of the plan; {MEND}")
    return table[[*COLUMNS]].merge(known, on="path")


def read_pictures(file: Path) -> dict[str, NDArray[np.uint8]]:
    """``gradcam.npz``: ``IMAGES`` (n, C, H, W), and maps (n, H, W) by ``picture``, all as bytes.

    Raises:
        UserError: it is missing or broken.
    """
    try:
        if regular_size(file) > LARGEST_PICTURES:
            raise ValueError(f"at most {LARGEST_PICTURES} bytes are read")
        with zipfile.ZipFile(file) as stored:
            names = [name.removesuffix(".npy") for name in stored.namelist()]
            found = {name: read_array(stored, name) for name in names}
        count, channels, *size = found[IMAGES].shape
        shapes = {IMAGES: (count, channels, *size)}
        for name, array in found.items():
            if array.dtype != np.uint8 or array.shape != shapes.get(name, (count, *size)):
                raise ValueError(f"'{name}' has shape {array.shape} and type {array.dtype}")
        if len(size) != 2 or channels not in (1, 3) or 0 in found[IMAGES].shape:
            raise ValueError(f"images have shape {found[IMAGES].shape}")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except CORRUPTED as error:
        raise UserError(f"{file}: no pictures of Grad-CAM maps ({error}); {MEND}") from None
    return found
