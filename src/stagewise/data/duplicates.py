"""The same picture more than once: found by its pixels, as the networks would see them."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stagewise.data.raw import Images

Pictures = NDArray[np.int64]
"""For each image the number of its picture; the same pixels have the same number."""


def pictures(*sets: Images | None) -> list[Pictures]:
    """The pictures of each set, numbered over all of them by their first images."""
    known: dict[bytes, int] = {}

    def numbers(images: Images) -> Pictures:
        found = np.empty(len(images), np.int64)
        for index, image in enumerate(images):
            pixels = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
            found[index] = known.setdefault(pixels, len(known))
        return found

    return [numbers(images) for images in sets if images is not None]


@dataclass(frozen=True)
class Repeated:
    """How many images repeat an earlier one, and how many pictures lie in several splits."""

    images: int
    shared: int


def repeated(splits: list[Pictures]) -> Repeated:
    """What is there more than once in some splits."""
    whole = np.concatenate(splits)
    own = np.concatenate([np.unique(split) for split in splits])
    _, splits_of_each = np.unique(own, return_counts=True)
    return Repeated(len(whole) - len(np.unique(whole)), int((splits_of_each > 1).sum()))
