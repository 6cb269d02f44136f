"""Reading an archive that may be hostile: tar (plain, gz, bz2, xz), zip or a folder, as names and
bytes. Nothing is unpacked to the disk, and nothing is believed that the archive says of itself.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from stagewise.data.names import shown
from stagewise.errors import UserError

MAGIC: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""First bytes of a compressed file → how it is opened."""

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # an encrypted zip, or an unknown compression
    IndexError,
    OverflowError,
    struct.error,
)
"""What the libraries raise on bytes that are no archive, or no longer one."""


PIECE = 1 << 16
"""Bytes that are unpacked at a time: few packed ones can be a great many."""
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""A zip's compressions that give no more at a time than they are asked for."""
ENTRY = 200
"""Bytes that a zip's table may have for each member; its fixed part has 46."""


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold: ``members``, bytes of one wanted ``file``, of ``all``; of
    a folder's files only the wanted ones count."""

    members: int
    file: int
    all: int


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_file: bool
    is_folder: bool
    read: Callable[[], bytes]


def inside(path: Path, *names: str) -> Path:
    """What has the first of these names in a folder of data sets, such as torchvision's root;
    ``path`` itself where nothing has."""
    return next((path / name for name in names if (path / name).exists()), path)


def read_members(
    path: Path, wanted: Callable[[str], bool], limits: Limits
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each wanted file, in the archive's order; every member is checked.

    Raises:
        UserError: it is a device or pipe, or damaged, or a member is a link, a device, has an
            absolute or ``..`` path or a name twice, or the limits are passed.
    """
    seen: set[str] = set()
    total, packed = 0, not path.is_dir()
    if packed and not path.is_file():
        raise UserError("no regular file or folder")
    try:
        for count, member in enumerate(_members(path, limits), start=1):
            problem = _problem(member, seen)
            reads = member.is_file and wanted(member.name)
            total += member.size * (packed or reads)
            if count > limits.members:
                problem = f"it holds more than {limits.members:,} members"
            elif total > limits.all:
                problem = f"it unpacks to more than {limits.all:,} bytes"
            elif reads and member.size > limits.file:
                problem = f"'{shown(member.name)}' unpacks to more than {limits.file:,} bytes"
            if problem:
                raise UserError(f"refused: {problem}")
            if reads:
                yield member.name, member.read()
    except DAMAGE as error:
        raise UserError(f"no archive, or a damaged one ({shown(error)})") from None


def _problem(member: _Member, seen: set[str]) -> str:
    """Why a member is refused; empty where it is not. Remembers its name."""
    name, text = member.name, shown(member.name)
    if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
        return f"'{text}' points out of the archive"
    if not member.is_file and not member.is_folder:
        return f"'{text}' is a link or a device"
    if member.size < 0:
        return f"'{text}' has a negative size"
    plain = str(PurePosixPath(name))
    if plain in seen and member.is_file:
        return f"'{text}' is there twice"
    seen.add(plain)
    return ""


def _members(path: Path, limits: Limits) -> Iterator[_Member]:
    if path.is_dir():
        return _in_folder(path)
    return _in_zip(path, limits) if zipfile.is_zipfile(path) else _in_tar(path, limits)


def _in_folder(path: Path) -> Iterator[_Member]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted([*files, *folders]):
            file = Path(folder, name)
            status = file.lstat()
            yield _Member(
                file.relative_to(path).as_posix(),
                status.st_size if stat.S_ISREG(status.st_mode) else 0,
                stat.S_ISREG(status.st_mode),
                stat.S_ISDIR(status.st_mode),
                partial(_read_file, file, status.st_size),
            )


def _read_file(file: Path, size: int) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(size)


def _in_zip(path: Path, limits: Limits) -> Iterator[_Member]:
    table = _Table(path, limits)
    with table, zipfile.ZipFile(cast(IO[bytes], table)) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16  # zero where the archive comes from another system
            plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
            yield _Member(
                info.filename,
                info.file_size,
                plain and not info.is_dir(),
                plain and info.is_dir(),
                partial(_inflate, archive, info),
            )


def _inflate(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """As many bytes as the archive states, in pieces: there may be more, or as many as it likes."""
    if info.compress_type not in BOUNDED:
        raise zipfile.BadZipFile(f"'{info.filename}' is compressed in another way than deflate")
    content = io.BytesIO()
    with archive.open(info) as stream:
        while content.tell() < info.file_size and (piece := stream.read(PIECE)):
            content.write(piece)
    if content.tell() != info.file_size:
        raise zipfile.BadZipFile(f"'{info.filename}' is shorter than stated")
    return content.getvalue()


class _Table(io.FileIO):
    """A zip whose table of contents, which is read at once, must fit the limits."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self.members = limits.members

    def read(self, size: int | None = -1) -> bytes:
        """As a file reads, but never more than the largest table."""
        if size is not None and size > ENTRY * max(self.members, 1000):
            raise UserError(f"refused: it holds more than {self.members:,} members")
        return super().read(-1 if size is None else size) or b""


def _in_tar(path: Path, limits: Limits) -> Iterator[_Member]:
    with open(path, "rb") as file:
        first = file.read(6)
    opener = next((opener for magic, opener in MAGIC.items() if first.startswith(magic)), None)
    with opener(path) if opener else open(path, "rb") as stream:
        bounded = _Bounded(stream, limits)
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r|") as archive:
            for info in archive:
                yield _Member(
                    info.name,
                    info.size,
                    info.isreg() and not info.issparse(),
                    info.isdir(),
                    partial(_extract, archive, info),
                )
        while bounded.read(1 << 20):  # to the end, so that its checksum is compared
            pass


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(info)
    assert content  # of a regular file
    return content.read()


class _Bounded:
    """A stream that ends in an error where more comes out than the limits allow.

    Extended headers are read before any member is seen, so their size is bounded here.
    """

    def __init__(self, stream: IO[bytes], limits: Limits) -> None:
        self.stream = stream
        self.left = limits.all + 2048 * limits.members + (1 << 20)
        self.most = limits.all

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes."""
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise UserError(f"refused: it unpacks to more than {self.most:,} bytes")
        return block
