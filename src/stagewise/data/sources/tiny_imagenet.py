"""Tiny ImageNet-200 (Stanford CS231N, 2015): 64x64 images of 200 classes, grey ones made RGB.

500 training images a class; the 10,000 validation images, which have labels, are the test set. The
subset holds the first 100 training images of each class and the whole validation set.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stagewise.data.archives import Limits, inside, read_members
from stagewise.data.decode import decode
from stagewise.data.fetch import first_good
from stagewise.data.raw import RawData
from stagewise.errors import UserError

SIZE = 64
CLASSES = 200
HAS_TEST = True

FULL, PART = 500, 100
"""Training images of a class: of the whole set, of the subset."""
URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
"""Of the official zip."""
MANIFEST = "0a5aa2207cd8e981d347f2be830e69339be7d582b261c1f1110f78e8369203d4"
"""SHA-256 of the subset's ``manifest``."""

LIMITS = Limits(members=250_000, file=10_000_000, all=600_000_000)
WANTED = re.compile(
    r"(?:.*/)?(train/(?P<wnid>n\d{8})/(?:images/)?(?P=wnid)_(?P<number>\d+)\.JPEG"
    r"|val/(?:n\d{8}/)?(?:images/)?(?P<test>val_\d+\.JPEG)"
    r"|(?P<text>val/val_annotations\.txt|words\.txt))\Z"
)
"""Names in the official layout, and where tools sorted or flattened the folders of images."""
LABELS, WORDS = "val/val_annotations.txt", "words.txt"
NAMES = ("tiny-imagenet-200", "tiny-imagenet-200.zip")
"""How a folder of data sets names it, unpacked or not."""


def facts(*, subset: bool = False, **_: object) -> dict[str, int]:
    """What planning knows beyond the constants."""
    return {"IMAGES": PART if subset else FULL}


def load(cache: Path, *, mirrors: Sequence[str] = (), subset: bool = False) -> RawData:
    """The official archive, or the first good mirror.

    Raises:
        UserError: no place has the right content.
    """
    return first_good([URL, *mirrors], cache, lambda path: read(path, subset=subset), LIMITS.all)


def read(path: Path, *, subset: bool = False, manifest_sha256: str = MANIFEST) -> RawData:
    """Training images (N, 3, 64, 64), N = 100,000 or 20,000, and 10,000 test images.

    The manifest covers the subset; of the other 400 images a class no file sums are published, so
    in a re-packed archive they are checked for number, name and readability, and the log says so.

    Raises:
        UserError: the archive is refused, lacks images, or has others than the published ones.
    """
    path = inside(path, *NAMES)
    files = _wanted_files(path)
    train = {name: _class_and_number(name) for name in files if name.startswith("train/")}
    classes = sorted({wnid for wnid, _ in train.values()})
    each = _images_of_each(train, classes, subset)
    known = {name: content for name, content in files.items() if _in_subset(name, train)}
    found = manifest(known)
    if found != manifest_sha256:
        raise UserError(
            f"its images or labels were changed: they have the manifest {found}, not"
            f" {manifest_sha256}; take the original archive"
        )
    if not subset and not _is_official(path):
        print(
            f"not the official zip: images {PART} to {FULL - 1} of each class are as this archive"
            f" has them; SHA-256 of the whole manifest {manifest(files)}",
            flush=True,
        )
    number = {wnid: index for index, wnid in enumerate(classes)}
    ordered = [f"train/{w}/images/{w}_{n}.JPEG" for w in classes for n in range(each)]
    rows = [line.split("\t") for line in files[LABELS].decode().splitlines()]
    test = [f"val/images/{row[0]}" for row in rows]
    return RawData(
        decode([(name, files[name]) for name in ordered], SIZE, "training images"),
        np.repeat(np.arange(len(classes)), each),
        _names(files[WORDS].decode("utf-8", "replace"), classes),
        decode([(name, files[name]) for name in test], SIZE, "test images"),
        np.array([number[row[1]] for row in rows], np.int64),
    )


def _wanted_files(path: Path) -> dict[str, bytes]:
    """The content of each wanted file, under its name in the official layout.

    Raises:
        UserError: the archive is refused; two files have one name; labels, words or validation
            images are missing.
    """
    files: dict[str, bytes] = {}
    for name, content in read_members(path, lambda name: bool(WANTED.match(name)), LIMITS):
        official = _official(name)
        if files.setdefault(official, content) != content:
            raise UserError(f"it holds two different files '{official}'; take the original archive")
    for text in (LABELS, WORDS):
        if text not in files:
            raise UserError(f"'{text}' is missing; put it back from the original archive")
    labelled = sum(bool(line.strip()) for line in files[LABELS].splitlines())
    there = sum(name.startswith("val/images/") for name in files)
    if there != labelled:
        raise UserError(
            f"it holds {there:,} validation images, but '{LABELS}' names {labelled:,}: val/images/"
            " or val/<class>/ must hold them all; take the original archive"
        )
    return files


def _official(name: str) -> str:
    match = WANTED.match(name)
    assert match
    if match["text"]:
        return match["text"]
    if match["test"]:
        return f"val/images/{match['test']}"
    return f"train/{match['wnid']}/images/{match['wnid']}_{match['number']}.JPEG"


def manifest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and SHA-256s of the images and their labels, sorted by name."""
    lines = (
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(files.items())
        if name != WORDS
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _class_and_number(name: str) -> tuple[str, int]:
    match = WANTED.match(name)
    assert match
    return match["wnid"], int(match["number"])


def _in_subset(name: str, train: Mapping[str, tuple[str, int]]) -> bool:
    return name not in train or train[name][1] < PART


def _images_of_each(
    train: Mapping[str, tuple[str, int]], classes: Sequence[str], subset: bool
) -> int:
    """Training images of a class, all of them there."""
    each = PART if subset else FULL
    if set(train.values()) == {(wnid, n) for wnid in classes for n in range(each)} and classes:
        return each
    other = len(train) == len(classes) * (FULL if subset else PART)
    hint = f"; this looks like the other set: write data.subset: {not subset}".lower()
    raise UserError(
        f"it holds {len(train):,} training images of {len(classes)} classes, not {each} of each"
        + (hint if other and classes else "")
    )


def _is_official(path: Path) -> bool:
    if path.is_dir():
        return False
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == MD5


def _names(words: str, classes: Sequence[str]) -> list[str]:
    """The first word for each class, or all words where the first stands for two classes."""
    known = dict(line.split("\t", 1) for line in words.splitlines() if "\t" in line)
    full = [known.get(wnid, wnid).strip() for wnid in classes]
    short = [text.split(",")[0] for text in full]
    return [s if short.count(s) == 1 else f for s, f in zip(short, full, strict=True)]
