"""Folders of classes, walked: which pictures belong to which class, and what is left out and why.

One rule holds at every depth. Hidden names and those of systems and tools are left out, and so is
what is no regular file with a picture's ending. Links are followed, but each real file and folder
is read once; a picture in two classes is refused.
"""

import os
import re
import unicodedata
from collections.abc import Iterator
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
    classes: dict[str, list[Path]] = field(default_factory=dict)
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
        UserError: it is no folder, a system's, cannot be read or holds too much; it holds splits or
            fewer than two classes; a class has a name that no record can hold, or no picture; a
            picture is in two classes.
    """
    return _Walk(key, root).classes()


@dataclass(frozen=True)
class _Entry:
    path: str
    real: str
    link: bool
    folder: bool
    file: bool


class _Walk:
    def __init__(self, key: str, root: Path) -> None:
        self.key, self.tree = key, Tree(root)
        self.entries = 0
        self.folders: dict[str, str] = {}  # real path → class that was read from it last
        self.pictures: dict[str, tuple[str, str]] = {}  # real path → class, name
        self.in_two: list[str] = []

    def classes(self) -> Tree:
        root, real = str(self.tree.root), os.path.realpath(self.tree.root)
        if not os.path.isdir(root):
            raise UserError(f"{self.key}: '{shown(root)}' is no folder; correct it")
        if _of_the_system(real):
            raise self._error(f"is a folder of the system; {_NAME_IT}")
        found: dict[str, _Entry] = {}
        for entry in self._within(root, real):
            if not entry.folder:
                self._leave_out(entry, "outside the class folders")
            elif self._enters(entry, real, ""):
                name = _class_name(self.key, entry.path)
                if name in found:
                    raise self._error(f"holds two folders that read as '{name}'; rename one")
                found[name] = entry
        self._refuse_splits(list(found))
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

    def _images(self, name: str, top: _Entry) -> list[Path]:
        """All pictures below a class's folder."""
        images: list[Path] = []
        todo = [top]
        while todo:
            folder = todo.pop()
            for entry in self._within(folder.path, folder.real):
                if entry.folder and self._enters(entry, folder.real, name):
                    todo.append(entry)
                elif entry.file and self._takes(entry, name):
                    images.append(Path(entry.path))
        if not images:
            inside = os.path.relpath(top.path, self.tree.root)
            left_out = [
                f"{reason}: {len(names)}"
                for reason, found in self.tree.left_out.items()
                if (names := [each for each in found if each.startswith(f"{inside}{os.sep}")])
            ]
            what = f"; left out there, {', '.join(left_out)}" if left_out else ""
            raise UserError(
                f"{self.key}: class '{name}' in '{shown(self.tree.root)}' holds no image (endings"
                f" in docs/data.md{what}); add some, or remove its folder"
            )
        return sorted(images)

    def _within(self, folder: str, real: str) -> Iterator[_Entry]:
        """What a folder holds, but for hidden things and those of tools; what is real comes before
        links to it."""
        entries = []
        try:
            with os.scandir(folder) as found:
                for each in found:
                    self.entries += 1
                    if self.entries > MOST:
                        raise self._error(f"holds more than {MOST:,} files and folders; {_NAME_IT}")
                    entries.append((each.is_symlink(), each.name, each))
        except OSError as error:
            raise UserError(
                f"{self.key}: '{shown(folder)}' cannot be read ({error.strerror}); mend that, or"
                " remove it"
            ) from None
        for link, name, each in sorted(entries, key=lambda entry: entry[:2]):
            real_path = os.path.realpath(each.path) if link else os.path.join(real, name)
            entry = _Entry(each.path, real_path, link, each.is_dir(), each.is_file())
            if name.startswith("."):
                self._leave_out(entry, "hidden")
            elif name.lower() in TOOLS:
                self._leave_out(entry, "of a system or tool")
            elif entry.folder or entry.file:
                yield entry
            else:
                self._leave_out(entry, "a broken link" if link else "no regular file")

    def _enters(self, entry: _Entry, parent: str, name: str) -> bool:
        """Whether a folder is read for the class ``name``."""
        if entry.link and f"{parent}/".startswith(f"{entry.real.rstrip('/')}/"):
            return self._leave_out(entry, "a link to a folder that holds it")
        if entry.link and _of_the_system(entry.real):
            return self._leave_out(entry, "a link into the system")
        if name and self.folders.get(entry.real) == name:
            return self._leave_out(entry, "a link to what is read already")
        self.folders[entry.real] = name
        return True

    def _takes(self, entry: _Entry, name: str) -> bool:
        """Whether a file is a picture of the class ``name``."""
        ending = os.path.splitext(entry.path)[1].lower()
        if ending not in ENDINGS:
            kind = f"ending {shown(ending)}" if 0 < len(ending) < 8 else "another ending, or none"
            return self._leave_out(entry, f"no picture that can be read ({kind})")
        known = self.pictures.setdefault(entry.real, (name, entry.path))
        if known[0] != name:
            self.in_two.append(f"{self._name(known[1])} = {self._name(entry.path)}")
        if known[1] != entry.path:
            return self._leave_out(entry, "a link to what is read already")
        return True

    def _leave_out(self, entry: _Entry, reason: str) -> bool:
        self.tree.left_out.setdefault(reason, []).append(self._name(entry.path))
        return False

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.tree.root)

    def _error(self, what: str) -> UserError:
        return UserError(f"{self.key}: '{shown(self.tree.root)}' {what}")

    def _refuse_splits(self, names: list[str]) -> None:
        splits = {name: match["split"].lower() for name in names if (match := SPLIT.match(name))}
        training = [name for name, split in splits.items() if split == "train"]
        others = sorted(splits.keys() - set(training), key=lambda name: splits[name] != "test")
        if training and others:
            root = shown(self.tree.root)
            raise self._error(
                f"holds splits ({', '.join(sorted(splits))}), not classes; write path:"
                f" {root}/{training[0]} and test_path: {root}/{others[0]}"
            )


_NAME_IT = "name the folder that holds a folder for each class"


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
