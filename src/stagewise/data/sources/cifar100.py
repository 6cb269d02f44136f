"""CIFAR-100 (Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009).

50,000 training and 10,000 test images, 32x32 RGB, of 100 classes. Any archive or folder will do
whose files ``train``, ``test`` and ``meta`` have the published checksums.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from stagewise.data.archives import Limits, inside, read_members
from stagewise.data.fetch import first_good
from stagewise.data.pickles import unpickled
from stagewise.data.raw import Images, Labels, RawData
from stagewise.errors import UserError

SIZE = 32
CLASSES = 100
IMAGES = 500
HAS_TEST = True

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
"""Of the three files, as published: a re-packed archive has other sums, its content has not."""

NAMES = ("cifar-100-python", "cifar-100-python.tar.gz")
"""How a folder of data sets names it, unpacked or not."""

LIMITS = Limits(members=1000, file=160_000_000, all=250_000_000)


def load(cache: Path, *, mirrors: Sequence[str] = ()) -> RawData:
    """The official archive, or the first good mirror.

    Raises:
        UserError: no place has the right content.
    """
    return first_good([URL, *mirrors], cache, read, LIMITS.all)


def read(path: Path, sums: Mapping[str, str] = MD5) -> RawData:
    """(50000, 3, 32, 32) training and (10000, 3, 32, 32) test images of an archive or folder.

    Raises:
        UserError: the archive is refused, or a file is missing or not the published one.
    """
    found: dict[str, bytes] = {}
    wrong = dict.fromkeys(sums, "is missing")
    place = inside(path, *NAMES)
    for name, content in read_members(place, lambda name: _last(name) in sums, LIMITS):
        file = _last(name)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 == sums[file]:
            found[file] = content
            wrong.pop(file, None)
        elif file in wrong:
            wrong[file] = f"has MD5 {md5}, not {sums[file]}"
    if wrong:
        raise UserError("; ".join(f"'{file}' {what}" for file, what in wrong.items()))
    images, labels = _split(found["train"])
    test_images, test_labels = _split(found["test"])
    names = [name.decode() for name in unpickled(found["meta"])["fine_label_names"]]
    return RawData(images, labels, names, test_images, test_labels)


def _last(name: str) -> str:
    return PurePosixPath(name).name


def _split(content: bytes) -> tuple[Images, Labels]:
    block = unpickled(content)
    images = np.asarray(block["data"], np.uint8).reshape(-1, 3, SIZE, SIZE)
    return images, np.asarray(block["fine_labels"], np.int64)
