"""Data files: safetensors with a checksum of every array, never a pickle.

Images are read as memory maps: a process holds the pages that it touches, not the whole set.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stagewise.errors import UserError
from stagewise.files import atomic, canonical_json


def content_sha256(*arrays: NDArray[Any]) -> str:
    """Checksum of the arrays' shapes, types and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def save_arrays(arrays: dict[str, NDArray[Any]], info: dict[str, Any], path: Path | str) -> None:
    """Store arrays and ``info`` with the checksum of each array, atomically."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sums = {name: content_sha256(array) for name, array in arrays.items()}
    metadata = {"info": canonical_json({**info, "sha256": sums})}
    with atomic(path, sum(array.nbytes for array in arrays.values())) as temporary:
        save_file(arrays, temporary, metadata)


def _read(stream: Any, path: Path | str, name: str) -> NDArray[Any]:
    """One array of an open file: bytes as a memory map, all else in memory."""
    part = stream.get_slice(name)
    if part.get_dtype() != "U8":
        array: NDArray[Any] = stream.get_tensor(name)
        return array
    with open(path, "rb") as file:  # ``safe_open`` has checked the header against the file's size
        size = int.from_bytes(file.read(8), "little")
        start, end = json.loads(file.read(size))[name]["data_offsets"]
    whole = np.memmap(path, np.uint8, "r").view(np.ndarray)
    return whole[8 + size + start : 8 + size + end].reshape(part.get_shape())


def load_arrays(path: Path | str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and metadata of a data file, every array checked against its checksum.

    Raises:
        UserError: the file is missing, truncated, not ours, or an array was changed.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():  # a pipe would be waited for
            raise OSError("no regular file")
        with safe_open(str(path), "np") as stream:
            info = json.loads((stream.metadata() or {})["info"])
            arrays = {name: _read(stream, path, name) for name in dict(info["sha256"])}
    except FileNotFoundError:
        raise UserError(f"{path}: no such data file; run `snakemake data`") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not a data file of this project ({error}); delete it and run `snakemake data`"
        ) from None
    for name, array in arrays.items():
        if content_sha256(array) != info["sha256"][name]:
            raise UserError(f"{path}: '{name}' is damaged; delete it and run `snakemake data`")
    return arrays, info


def check_images(
    path: Path | str,
    arrays: dict[str, NDArray[Any]],
    images: str,
    labels: str,
    classes: int,
    *,
    least: int = 1,
) -> None:
    """At least ``least`` images are uint8 (N, C, S, S), labels their int64 class numbers.

    Raises:
        UserError: an array is missing, of another type or shape, or a label is out of range.
    """
    for name, dtype, axes in ((images, np.uint8, 4), (labels, np.int64, 1)):
        found = arrays.get(name)
        if found is None or found.dtype != dtype or found.ndim != axes:
            kind = "is missing" if found is None else f"is {found.dtype} {found.shape}"
            raise UserError(
                f"{path}: '{name}' {kind}, not {np.dtype(dtype)} with {axes} axes;"
                " delete it and run `snakemake data`"
            )
    pixels, numbers = arrays[images], arrays[labels]
    if not len(numbers) == len(pixels) >= least:
        raise UserError(
            f"{path}: {len(pixels)} '{images}' and {len(numbers)} '{labels}';"
            " delete it and run `snakemake data`"
        )
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < classes:
        raise UserError(
            f"{path}: '{labels}' go from {numbers.min()} to {numbers.max()}, but there are"
            f" {classes} classes; delete it and run `snakemake data`"
        )
