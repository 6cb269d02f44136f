"""Your own images: a folder for each class, as torchvision's ``ImageFolder`` has them.

``path/cat/1.jpg``, ``path/dog/any/where/2.png`` … A second folder of the same classes may be the
test set; without it, a share of the images is. Which files count says ``data/folders.py``.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stagewise.data.decode import decode
from stagewise.data.duplicates import Pictures, pictures
from stagewise.data.folders import Tree, listing_fingerprint, read_tree
from stagewise.data.names import listed, shown
from stagewise.data.raw import Images, Labels, RawData
from stagewise.errors import UserError


def facts(*, path: str = "", test_path: str = "", **_: object) -> dict[str, object]:
    """What planning knows: classes, images of each, folders; nothing of a folder that is not here.

    Raises:
        UserError: a folder is not laid out as above.
    """
    folders = _folders(path, test_path)
    known: dict[str, object] = {
        "HAS_TEST": bool(test_path),
        "FOLDERS": {key.removeprefix("data."): str(folder) for key, folder in folders.items()},
    }
    if all(map(os.path.isdir, folders.values())):
        found = listing(path, test_path)
        images = [len(files) for files in found.train.classes.values()]
        known |= {"CLASSES": len(images), "IMAGES": images}
    return known


def _folders(path: str, test_path: str) -> dict[str, Path]:
    """Key of the config → folder that it names, ``~`` being one's home."""
    if not path:
        raise UserError("data.path: missing; name the folder that holds a folder for each class")
    named = {"data.path": path, "data.test_path": test_path}
    found = {}
    for key, text in named.items():
        if text:
            try:
                found[key] = Path(text).expanduser()
            except RuntimeError:
                raise UserError(f"{key}: '{shown(text)}': no such user here; correct it") from None
    return found


@dataclass(frozen=True)
class Listing:
    """The pictures for training and, where there is a folder for it, for the test."""

    train: Tree
    test: Tree | None

    def trees(self) -> list[Tree]:
        """Those that there are."""
        return [self.train, *([self.test] if self.test else [])]


def listing(path: str, test_path: str) -> Listing:
    """The images of each class.

    Raises:
        UserError: there are fewer than two classes, a class has too few images, or the folders
            have other classes or are in each other.
    """
    folders = _folders(path, test_path)
    for key, folder in folders.items():
        if not os.path.isdir(folder):
            raise UserError(f"{key}: '{shown(folder)}' is no folder; correct it")
    real = [os.path.realpath(folder) + os.sep for folder in folders.values()]
    if test_path and (real[0].startswith(real[1]) or real[1].startswith(real[0])):
        raise UserError(
            f"data.test_path: '{shown(test_path)}' and '{shown(path)}' are in one another, so test"
            " images would be trained on; name two folders apart"
        )
    train, *rest = [read_tree(key, folder) for key, folder in folders.items()]
    for test in rest:
        other = sorted(train.classes.keys() ^ test.classes.keys())
        if other:
            raise UserError(
                f"data.test_path: '{shown(test_path)}' and '{shown(path)}' have different classes"
                f" ({listed(other, 5)}); give both the same"
            )
    least = 2 if test_path else 3
    for name, files in train.classes.items():
        if len(files) < least:
            raise UserError(
                f"data.path: class '{name}' in '{shown(path)}' has {len(files)} images, but the"
                f" splits need {least}; add some, or remove its folder"
            )
    return Listing(train, rest[0] if rest else None)


def load(cache: Path, *, path: str = "", test_path: str = "", image_size: int = 64) -> RawData:
    """(N, 3, S, S) images, S being the config's ``data.image_size``.

    Raises:
        UserError: the folder is not laid out as above, an image cannot be read, or one is in two
            classes.
    """
    found = listing(path, test_path)
    notes = {"listing": listing_fingerprint(str(tree.root) for tree in found.trees())}
    for tree in found.trees():
        for line in tree.told():
            print(line, flush=True)
    sets = [_images(tree, image_size) for tree in found.trees()]
    _refuse_two_classes(found.trees(), sets)
    images, labels = sets[0]
    test_images, test_labels = sets[1] if found.test else (None, None)
    classes = list(found.train.classes)
    return RawData(images, labels, classes, test_images, test_labels, notes, own_images=True)


def _files(tree: Tree) -> list[str]:
    return [file for files in tree.classes.values() for file in files]


def _images(tree: Tree, size: int) -> tuple[Images, Labels]:
    counts = [len(files) for files in tree.classes.values()]
    files = [(file, Path(file)) for file in _files(tree)]
    return decode(files, size, f"images of {shown(tree.root)}"), np.repeat(
        np.arange(len(counts)), counts
    )


def _refuse_two_classes(trees: list[Tree], sets: list[tuple[Images, Labels]]) -> None:
    """Raises ``UserError`` where images of two classes have the same pixels."""
    seen: list[Pictures] = pictures(*(images for images, _ in sets))
    first: dict[int, tuple[int, str]] = {}
    in_two = []
    for tree, (_, labels), numbers in zip(trees, sets, seen, strict=True):
        for file, label, number in zip(
            _files(tree), labels.tolist(), numbers.tolist(), strict=True
        ):
            other_label, other = first.setdefault(number, (label, file))
            if other_label != label:
                in_two.append(f"{other} = {file}")
    if in_two:
        for pair in in_two:
            print(f"one picture in two classes: {shown(pair)}", flush=True)
        raise UserError(
            f"data.path: {len(in_two)} pictures are in two classes ({listed(in_two)}); keep each in"
            " one"
        )
