"""Decoding many image files: RGB, one size, all cores."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stagewise.data.names import listed, shown
from stagewise.data.pixels import read_pixels
from stagewise.data.raw import Images
from stagewise.errors import UserError
from stagewise.process.progress import Progress

CHUNK = 250
"""Images that a worker decodes at a time."""
DARK = 16
"""What the white of 12 bits becomes in a file for 16."""

File = tuple[str, Path | bytes]
"""An image's name for messages, and where it is: a path, or its bytes."""
Chunk = tuple[Sequence[File], int]
"""Images, and the size that they get."""


@dataclass(frozen=True)
class _Decoded:
    """Images of a chunk, black where one cannot be read; name → why not; names of dark ones."""

    images: Images
    damaged: dict[str, str]
    dark: list[str]


def decode(files: Sequence[File], size: int, title: str) -> Images:
    """(N, 3, size, size): grey images become RGB, others are scaled and cropped to the centre.

    Raises:
        UserError: images cannot be read; names them all, in the log where they are many.
    """
    images = np.empty((len(files), 3, size, size), np.uint8)
    chunks = [(files[start : start + CHUNK], size) for start in range(0, len(files), CHUNK)]
    progress, done = Progress(title, "images"), 0
    damaged: dict[str, str] = {}
    dark: list[str] = []
    for part in _parts(chunks):
        images[done : done + len(part.images)] = part.images
        done += len(part.images)
        damaged |= part.damaged
        dark += part.dark
        progress.at(done, len(files))
    if dark:
        print(
            f"{title}: {len(dark)} have at most a sixteenth of white; if they hold 10 or 12 bits in"
            f" files made for 16, scale them first ({listed(dark)})",
            flush=True,
        )
    _refuse(damaged)
    return images


def _refuse(damaged: dict[str, str]) -> None:
    if not damaged:
        return
    reasons = [f"{shown(name)}: {why}" for name, why in damaged.items()]
    if len(damaged) == 1:
        name, why = next(iter(damaged.items()))
        raise UserError(f"{shown(name)}: cannot be read as an image ({why}); replace or remove it")
    for reason in reasons:
        print(f"cannot be read as an image: {reason}", flush=True)
    few = "; ".join(reasons[:20]) + ("; …" if len(reasons) > 20 else "")
    raise UserError(
        f"{len(damaged)} files cannot be read as images ({few}); replace or remove them"
    )


def _parts(chunks: list[Chunk]) -> Iterator[_Decoded]:
    """The decoded chunks in order, by as many processes as there are cores to use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    if len(chunks) < 4 or cores == 1:  # starting processes would take longer
        yield from map(_decode_chunk, chunks)
        return
    # Not a fork server: its socket needs a short TMPDIR.
    with ProcessPoolExecutor(min(cores, 16), get_context("spawn")) as pool:
        try:
            yield from pool.map(_decode_chunk, chunks)
        except BrokenProcessPool:
            raise UserError(
                "a process that decodes images was ended from outside; free some memory, and run"
                " again"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_chunk(chunk: Chunk) -> _Decoded:
    files, size = chunk
    decoded = _Decoded(np.zeros((len(files), 3, size, size), np.uint8), {}, [])
    for image, (name, place) in zip(decoded.images, files, strict=True):
        try:
            image[:] = read_pixels(place, size)
        except Exception as error:  # PIL raises nearly everything on a damaged file
            decoded.damaged[name] = shown(error or type(error).__name__)
        if 0 < image.max() <= DARK:
            decoded.dark.append(name)
    return decoded
