"""Decoding many image files: RGB, one size, all cores."""

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stagewise.data.sources.base import Images
from stagewise.errors import UserError
from stagewise.process.progress import Progress

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
CHUNK = 250
"""Images that a worker decodes at a time."""

File = tuple[str, Path | bytes]
"""An image's name for messages, and where it is: a path, or its bytes."""
Chunk = tuple[Sequence[File], int]
"""Images, and the size that they get."""


def decode(files: Sequence[File], size: int, title: str) -> Images:
    """(N, 3, size, size): grey images become RGB, others are scaled and cropped to the centre.

    Raises:
        UserError: an image cannot be read; names it.
    """
    images = np.empty((len(files), 3, size, size), np.uint8)
    chunks = [(files[start : start + CHUNK], size) for start in range(0, len(files), CHUNK)]
    progress, done = Progress(title, "images"), 0
    for part in _parts(chunks):
        images[done : done + len(part)] = part
        done += len(part)
        progress.at(done, len(files))
    return images


def _parts(chunks: list[Chunk]) -> Iterator[Images]:
    """The decoded chunks in order, by as many processes as there are cores to use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    if len(chunks) < 4 or cores == 1:  # starting processes would take longer
        yield from map(_decode_chunk, chunks)
        return
    with ProcessPoolExecutor(min(cores, 16), get_context("forkserver")) as pool:
        try:
            yield from pool.map(_decode_chunk, chunks)
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_chunk(chunk: Chunk) -> Images:
    files, size = chunk
    return np.stack([_decode_one(name, place, size) for name, place in files])


def _decode_one(name: str, place: Path | bytes, size: int) -> Images:
    """(3, size, size) of one file, turned upright as its camera noted."""
    from PIL import Image, ImageOps

    try:
        source = io.BytesIO(place) if isinstance(place, bytes) else place
        with Image.open(source, formats=FORMATS) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        if upright.size != (size, size):
            upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    except Exception as error:  # PIL raises nearly everything on a damaged file
        raise UserError(
            f"{name}: cannot be read as an image ({error}); replace or remove it"
        ) from None
    return np.asarray(upright).transpose(2, 0, 1)
