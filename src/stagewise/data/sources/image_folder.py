"""Your own images: a folder for each class, as torchvision's ``ImageFolder`` has them.

``path/cat/1.jpg``, ``path/dog/any/where/2.png`` … A second folder of the same classes may be the
test set; without it, a share of the images is.
"""

import os
from pathlib import Path

import numpy as np

from stagewise.data.decode import decode
from stagewise.data.sources.base import Images, Labels, RawData
from stagewise.errors import UserError

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def facts(*, path: str = "", test_path: str = "", **_: object) -> dict[str, object]:
    """What planning knows: classes, images of each, folders; nothing of a folder that is not here.

    Raises:
        UserError: a folder holds no classes, or a class no images.
    """
    folders = {"path": path, "test_path": test_path} if test_path else {"path": path}
    if not path:
        raise UserError("data.path: missing; name the folder that holds a folder for each class")
    known: dict[str, object] = {"HAS_TEST": bool(test_path), "FOLDERS": folders}
    if all(Path(folder).is_dir() for folder in folders.values()):
        found = listing(path, test_path)
        known |= {"CLASSES": len(found), "IMAGES": [len(files) for files, _ in found.values()]}
    return known


def listing(path: str, test_path: str) -> dict[str, tuple[list[Path], list[Path]]]:
    """Class → its images for training and for the test, both sorted.

    Raises:
        UserError: there are fewer than two classes, a class has too few images, or the folders
            have other classes.
    """
    train = _classes("data.path", path)
    test = _classes("data.test_path", test_path) if test_path else {name: [] for name in train}
    if train.keys() != test.keys():
        other = sorted(train.keys() ^ test.keys())
        raise UserError(
            f"data.test_path: '{test_path}' and '{path}' have different classes"
            f" ({', '.join(other[:5])}); give both the same"
        )
    least = 2 if test_path else 3
    for name, files in train.items():
        if len(files) < least:
            raise UserError(
                f"data.path: class '{name}' in '{path}' has {len(files)} images, but the splits"
                f" need {least}; add some, or remove its folder"
            )
    return {name: (train[name], test[name]) for name in train}


def _classes(key: str, path: str) -> dict[str, list[Path]]:
    """Class → its images; hidden folders and files that are no images are left out."""
    if not Path(path).is_dir():
        raise UserError(f"{key}: '{path}' is no folder; correct it")
    folders = [entry for entry in Path(path).iterdir() if entry.is_dir()]
    found = {
        folder.name: _images(folder) for folder in sorted(folders) if folder.name[0] not in "._"
    }
    if len(found) < 2:
        raise UserError(
            f"{key}: '{path}' holds {len(found)} folders, but each class needs one and there must"
            " be two or more; see docs/data.md"
        )
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise UserError(
            f"{key}: class '{empty[0]}' in '{path}' holds no image ({', '.join(ENDINGS)}); add"
            " some, or remove its folder"
        )
    return found


def _images(folder: Path) -> list[Path]:
    return sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.lower().endswith(ENDINGS) and not name.startswith(".")
    )


def load(cache: Path, *, path: str = "", test_path: str = "", image_size: int = 64) -> RawData:
    """(N, 3, S, S) images, S being the config's ``data.image_size``.

    Raises:
        UserError: the folder is not laid out as above, or an image cannot be read.
    """
    found = listing(path, test_path)
    images, labels = _split([files for files, _ in found.values()], image_size, "images")
    if not test_path:
        return RawData(images, labels, list(found))
    test = [files for _, files in found.values()]
    return RawData(images, labels, list(found), *_split(test, image_size, "test images"))


def _split(files: list[list[Path]], size: int, title: str) -> tuple[Images, Labels]:
    flat = [(str(file), file) for members in files for file in members]
    labels = np.repeat(np.arange(len(files)), [len(members) for members in files])
    return decode(flat, size, title), labels
