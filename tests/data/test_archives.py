"""Archives of every kind give the same files; hostile and damaged ones are refused."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stagewise.data.archives import Limits, read_members
from stagewise.errors import UserError

FILES = {"set/train": b"images" * 2000, "set/test": b"others" * 500, "set/deep/er/meta": b"names"}
LIMITS = Limits(members=20, file=20_000, all=50_000)


def packed(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo) -> Path:
    """A tar, compressed as its name says."""
    with tarfile.open(path, f"w:{path.suffix[1:].replace('tar', '')}") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in members:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def zipped(path: Path, files: dict[str, bytes], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def unpacked(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, to: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, to
    return info


def everything(path: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    return dict(read_members(path, lambda name: True, limits))


def refused(path: Path, reason: str, limits: Limits = LIMITS) -> None:
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(UserError, match=reason) as caught:
        everything(path, limits)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "folder"])
def test_every_kind_gives_the_same_files(tmp_path: Path, ending: str) -> None:
    make: Callable[[Path, dict[str, bytes]], Path] = packed
    make = {"zip": zipped, "folder": unpacked}.get(ending, make)
    assert everything(make(tmp_path / f"set.{ending}", FILES)) == FILES


def test_the_name_of_an_archive_does_not_matter(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.tar.xz", FILES).rename(tmp_path / "e687a8c71fd853e7")
    assert everything(path) == FILES


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.tar", FILES)
    found = read_members(path, lambda name: name.endswith("meta"), LIMITS)
    assert dict(found) == {"set/deep/er/meta": b"names"}


# -- hostile -------------------------------------------------------------------------------------

LINKS = [
    member("set/link", tarfile.SYMTYPE, to="/etc/passwd"),
    member("set/hard", tarfile.LNKTYPE, to="set/train"),
    member("set/pipe", tarfile.FIFOTYPE),
    member("set/device", tarfile.CHRTYPE),
]


@pytest.mark.parametrize("info", LINKS, ids=lambda info: info.name)
@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_links_and_devices_in_a_tar_are_refused(
    tmp_path: Path, info: tarfile.TarInfo, ending: str
) -> None:
    path = packed(tmp_path / f"set.{ending}", FILES, info)
    refused(path, f"refused: '{info.name}' is a link or a device")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"set/link": b"/etc/passwd"}, mode=0o120777)
    refused(path, "refused: 'set/link' is a link or a device")


@pytest.mark.parametrize("kind", ["link", "folder link", "pipe"])
def test_links_and_pipes_in_a_folder_are_refused(tmp_path: Path, kind: str) -> None:
    path = unpacked(tmp_path / "set", FILES)
    if kind == "pipe":
        os.mkfifo(path / "odd")
    else:
        (path / "odd").symlink_to("/etc" if kind == "folder link" else "/etc/passwd")
    refused(path, "refused: 'odd' is a link or a device")


@pytest.mark.parametrize("name", ["/etc/train", "../train", "set/../../train", "..\\train"])
@pytest.mark.parametrize("make", [packed, zipped])
def test_paths_that_leave_the_archive_are_refused(
    tmp_path: Path, name: str, make: Callable[..., Path]
) -> None:
    path = make(tmp_path / "set.tar", {**FILES, name: b"x"})
    refused(path, "points out of the archive")


@pytest.mark.parametrize("other", ["set/train", "./set/train"])
def test_a_file_that_is_there_twice_is_refused(tmp_path: Path, other: str) -> None:
    path = packed(tmp_path / "set.tar", FILES, member(other, size=5))
    refused(path, "is there twice")


@pytest.mark.parametrize("make", [packed, zipped])
def test_bombs_are_refused(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path / "large.tar.gz", {"set/train": bytes(30_000)})
    refused(path, "'set/train' unpacks to more than 20,000 bytes")
    path = make(tmp_path / "sum.tar.gz", {f"set/{n}": bytes(15_000) for n in range(4)})
    refused(path, "unpacks to more than 50,000 bytes")
    path = make(tmp_path / "many.tar.gz", {f"set/{n}": b"" for n in range(21)})
    refused(path, "more than 20 members")


def test_an_unwanted_bomb_is_refused_too(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.tar.gz", {**FILES, "other": bytes(10**6)})
    with pytest.raises(UserError, match="unpacks to more than 50,000 bytes"):
        list(read_members(path, lambda name: name == "set/train", LIMITS))


def test_a_bomb_in_an_extended_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.tar.gz"
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(member("a" * 5_000_000))
    refused(path, "unpacks to more than 50,000 bytes")


def test_zeros_without_end_are_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.tar", FILES)
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(5_000_000)))
    refused(path, "unpacks to more than 50,000 bytes")


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "set.tar", FILES, member("odd"))
    content = bytearray(path.read_bytes())
    header = content.index(b"odd\0")
    content[header + 124 : header + 136] = b"\xff" * 11 + b"\x00"
    content[header + 148 : header + 156] = b" " * 8
    total = sum(content[header : header + 512])
    content[header + 148 : header + 156] = b"%06o\0 " % total
    path.write_bytes(content)
    refused(path, "negative size")


# -- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.75])
def test_truncated_archives_are_refused(tmp_path: Path, ending: str, share: float) -> None:
    noise = {"set/train": os.urandom(15_000), "set/test": os.urandom(15_000)}
    path = (zipped if ending == "zip" else packed)(tmp_path / f"set.{ending}", noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "no archive, or a damaged one")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_flipped_byte_of_a_compressed_archive_is_found(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    path = packed(tmp_path / "set.tar", {"set/train": os.urandom(15_000)})
    content = bytearray(compress(path.read_bytes()))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(path, "no archive, or a damaged one")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>404</html>" * 100, bytes(10_240)])
def test_what_is_no_archive_is_refused_or_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(content)
    if content == bytes(10_240):  # an empty tar is nothing but zeros
        assert everything(path) == {}
    else:
        refused(path, "no archive, or a damaged one")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"set/train": b"secret"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[content.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(content)
    refused(path, "no archive, or a damaged one")
