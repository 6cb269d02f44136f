"""Folders of classes, walked: which pictures belong to which class, and what is left out and why.

One rule holds at every depth. Hidden names and those of systems and tools are left out, and so is
what is no regular file with a picture's ending. Links are followed, but each real file and folder
is read once; a picture in two classes is refused.
"""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stagewise.data.names import listed, shown
from stagewise.data.pixels import ENDINGS
from stagewise.errors import UserError

TOOLS = frozenset(
    (
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@tmp",
        "__macosx",
        "__pycache__",
        "desktop.ini",
        "ehthumbs.db",
        "found.000",
        "lost+found",
        "lost.dir",
        "system volume information",
        "thumbs.db",
    )
)
"""Names, in lower case, that systems and tools leave among one's files."""

MOST = 2_000_000
"""Files and folders that are looked at; where there are more, this is no folder of classes."""

SPLIT = re.compile(
    r"(?P<split>train|val|test|dev|eval)(?:ing|id|idation|uation)?"
    r"(?:[-_ .]?(?:set|data|images|imgs|split|\d+))*\Z",
    re.IGNORECASE,
)
"""Names of a set's splits: ``train``, ``val2017``, ``Test Set``."""


@dataclass
class Tree:
    """Class → its pictures, sorted, and what was left out: reason → names."""

    root: Path
    classes: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """A line for each reason why something was left out."""
        return [
            f"{shown(self.root)}: left out, {reason}: {len(names)} ({listed(names)})"
            for reason, names in sorted(self.left_out.items())
        ]


def read_tree(key: str, root: Path) -> Tree:
    """The classes below ``root``, which ``key`` of the config names.

    Raises:
        UserError: it is a system's folder, cannot be read or holds too much; it holds splits or
            fewer than two classes; a class has a name that no record can hold, or no picture; a
            picture is in two classes.
    """
    return _Walk(key, root).classes()


Found = tuple["os.DirEntry[str]", str]
"""An entry of a folder, and its real path."""


class _Walk:
    def __init__(self, key: str, root: Path) -> None:
        self.key, self.tree, self.root = key, Tree(root), str(root)
        self.entries = 0
        self.folders: dict[str, str] = {}  # real path → class that was read from it last
        self.pictures: dict[str, tuple[str, str]] = {}  # real path → class, name
        self.in_two: list[str] = []

    def classes(self) -> Tree:
        real = os.path.realpath(self.root)
        if _of_the_system(real):
            raise self._error(f"is a folder of the system; {_NAME_IT}")
        found: dict[str, Found] = {}
        for entry, target in self._within(self.root, real):
            if not entry.is_dir():
                self._leave_out(entry, "outside the class folders")
            elif self._enters(entry, target, real, ""):
                name = _class_name(self.key, entry.path)
                if name in found:
                    raise self._error(f"holds two folders that read as '{name}'; rename one")
                found[name] = entry, target
        self._refuse_splits(list(found), self.root)
        if len(found) < 2:
            raise self._error(
                f"holds {len(found)} folders, but each class needs one and there must be two or"
                " more; see docs/data.md"
            )
        for name in sorted(found):
            self.tree.classes[name] = self._images(name, found[name])
        if self.in_two:
            raise self._error(
                f"has {len(self.in_two)} pictures in two classes ({listed(self.in_two)}); keep"
                " each in one"
            )
        return self.tree

    def _images(self, name: str, top: Found) -> list[str]:
        """All pictures below a class's folder."""
        images: list[str] = []
        todo, links = [top], list[Found]()
        while todo or links:  # what is real first, so that it keeps its name
            folder, real = (todo or links).pop()
            for entry, target in self._within(folder.path, real):
                if entry.is_dir():
                    if self._enters(entry, target, real, name):
                        (links if entry.is_symlink() else todo).append((entry, target))
                elif self._takes(entry, target, name):
                    images.append(entry.path)
            if folder is top[0]:
                self._refuse_splits([entry.name for entry, _ in (*todo, *links)], folder.path)
        if not images:
            raise UserError(
                f"{self.key}: class '{name}' in '{shown(self.root)}' holds no image"
                f" (docs/data.md{self._left_out_below(top[0].path)}); add some, or remove its"
                " folder"
            )
        return sorted(images, key=lambda path: path.split(os.sep))

    def _within(self, folder: str, real: str) -> Iterator[Found]:
        """Folders and regular files in a folder, but for hidden ones and those of tools; what is
        real comes before links to it."""
        entries = []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    self.entries += 1
                    if self.entries > MOST:
                        raise self._error(f"holds more than {MOST:,} files and folders; {_NAME_IT}")
                    entries.append(entry)
        except OSError as error:
            raise UserError(
                f"{self.key}: '{shown(folder)}' cannot be read ({error.strerror}); mend that, or"
                " remove it"
            ) from None
        for entry in sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name)):
            name, link = entry.name, entry.is_symlink()
            if name.startswith("."):
                self._leave_out(entry, "hidden")
            elif name.lower() in TOOLS:
                self._leave_out(entry, "of a system or tool")
            elif link and not os.path.exists(entry.path):
                self._leave_out(entry, "a broken link")
            elif entry.is_file() or entry.is_dir():
                yield entry, os.path.realpath(entry.path) if link else f"{real}{os.sep}{name}"
            else:
                self._leave_out(entry, "no regular file")

    def _enters(self, entry: "os.DirEntry[str]", real: str, parent: str, name: str) -> bool:
        """Whether a folder is read for the class ``name``."""
        if entry.is_symlink() and f"{parent}/".startswith(f"{real.rstrip('/')}/"):
            return self._leave_out(entry, "a link to a folder that holds it")
        if entry.is_symlink() and _of_the_system(real):
            return self._leave_out(entry, "a link into the system")
        if name and self.folders.get(real) == name:
            return self._leave_out(entry, "read already under another name")
        self.folders[real] = name
        return True

    def _takes(self, entry: "os.DirEntry[str]", real: str, name: str) -> bool:
        """Whether a file is a picture of the class ``name``."""
        ending = os.path.splitext(entry.name)[1].lower()
        if ending not in ENDINGS:
            kind = f"ending {shown(ending)}" if 0 < len(ending) < 8 else "another ending, or none"
            return self._leave_out(entry, f"no picture that can be read ({kind})")
        other, path = self.pictures.setdefault(real, (name, entry.path))
        if other != name:
            self.in_two.append(f"{self._name(path)} = {self._name(entry.path)}")
        elif path != entry.path:
            return self._leave_out(entry, "read already under another name")
        return True

    def _leave_out(self, entry: "os.DirEntry[str]", reason: str) -> bool:
        self.tree.left_out.setdefault(reason, []).append(self._name(entry.path))
        return False

    def _left_out_below(self, folder: str) -> str:
        """What was left out in one folder, for a message."""
        inside = f"{self._name(folder)}{os.sep}"
        counts = {
            reason: sum(name.startswith(inside) for name in names)
            for reason, names in self.tree.left_out.items()
        }
        found = [f"{reason}: {count}" for reason, count in counts.items() if count]
        return f"; left out there, {listed(found, 3)}" if found else ""

    def _name(self, path: str) -> str:
        """A path inside the root."""
        return path[len(self.root) :].lstrip(os.sep)

    def _error(self, what: str) -> UserError:
        return UserError(f"{self.key}: '{shown(self.root)}' {what}")

    def _refuse_splits(self, names: list[str], folder: str) -> None:
        """Raises ``UserError`` where folders in ``folder`` are a training set and another split."""
        splits = {name: match["split"].lower() for name in names if (match := SPLIT.match(name))}
        training = [name for name, split in splits.items() if split == "train"]
        others = sorted(splits.keys() - set(training), key=lambda name: splits[name] != "test")
        if training and others:
            if folder == self.root:
                what = "not classes; write"
                places = (f"{folder}/{training[0]}", f"{folder}/{others[0]}")
            else:
                what = "not one set; sort the classes into a folder for each split, and write"
                places = ("…/train", "…/test")
            raise UserError(
                f"{self.key}: '{shown(folder)}' holds splits ({listed(sorted(splits))}), {what}"
                f" path: {shown(places[0])} and test_path: {shown(places[1])}"
            )


_NAME_IT = "name the folder that holds a folder for each class"


def listing_fingerprint(roots: Iterable[str]) -> str:
    """Checksum of the names, sizes and times of all pictures below some folders: another one means
    other images. No folder's own time is asked, which copies may keep.

    Raises:
        UserError: see ``read_tree``.
    """
    digest = hashlib.sha256()
    for root in roots:
        for files in read_tree("data", Path(root)).classes.values():
            for file in files:
                digest.update(_statement(file, len(root)))
        digest.update(b"\0")
    return digest.hexdigest()


def _statement(file: str, root: int) -> bytes:
    """A file's name beyond its first ``root`` letters, its size and time."""
    try:
        status = os.stat(file)
    except OSError as error:
        raise UserError(f"{shown(file)}: {error.strerror}; run again") from None
    name = os.fsencode(file[root:])
    return b"%s\0%d\0%d\0" % (name, status.st_size, status.st_mtime_ns)


def _of_the_system(real: str) -> bool:
    """Whether a real path is one that no user's pictures are in, but endless other things."""
    return real in ("/", "/dev", "/run") or f"{real}/".startswith(("/proc/", "/sys/"))


def _class_name(key: str, path: str) -> str:
    """A folder's name as all systems write it; raises ``UserError`` where no record can hold it."""
    name = unicodedata.normalize("NFC", os.path.basename(path))
    if not name.isprintable():  # stray bytes of another encoding are not
        raise UserError(
            f"{key}: the name of the class folder '{shown(path)}' is no printable UTF-8; rename it"
        )
    return name
