"""Data files and archives that hold more than they say, or are no regular files: nothing is read
beyond what is stated, nothing is waited for."""

import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import numpy as np
import pytest
import torch

from stagewise.data.archives import Limits, read_members
from stagewise.data.arrays import load_arrays, save_arrays
from stagewise.data.pickles import unpickled
from stagewise.data.prepared import load_prepared
from stagewise.data.raw import load_raw, noted
from stagewise.data.sources import cifar100
from stagewise.errors import UserError
from stagewise.runs.imagenet import read

LIMITS = Limits(members=20, file=20_000, all=50_000)
LARGE = 60_000_000
"""Bytes that a bomb becomes, and that a test may not hold."""


def peak_of(call: Callable[[], object]) -> int:
    """Most bytes that Python held while ``call`` ran."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def understated(path: Path, kind: int, stated: int = 1000) -> Path:
    """A zip whose member states ``stated`` bytes, and their checksum, but becomes ``LARGE``."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("set/train", bytes(LARGE))
    content = bytearray(path.read_bytes())
    known = struct.pack("<L", zlib.crc32(bytes(LARGE)))
    new = struct.pack("<L", zlib.crc32(bytes(stated)))
    for signature, crc in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        header = content.index(signature)
        assert content[header + crc : header + crc + 4] == known
        content[header + crc : header + crc + 4] = new
        content[header + crc + 8 : header + crc + 12] = struct.pack("<L", stated)
    path.write_bytes(content)
    return path


def test_a_member_is_read_to_its_stated_size(tmp_path: Path) -> None:
    path = understated(tmp_path / "set.zip", zipfile.ZIP_DEFLATED)
    found: dict[str, bytes] = {}
    peak = peak_of(lambda: found.update(read_members(path, lambda name: True, LIMITS)))
    assert found == {"set/train": bytes(1000)}
    assert peak < 2_000_000


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_that_cannot_be_bounded_is_refused(tmp_path: Path, kind: int) -> None:
    path = understated(tmp_path / "set.zip", kind)

    def call() -> None:
        with pytest.raises(UserError, match="'set/train' is compressed in another way than"):
            list(read_members(path, lambda name: True, LIMITS))

    assert peak_of(call) < 2_000_000


def test_a_member_that_holds_less_than_stated_is_damaged(tmp_path: Path) -> None:
    path = understated(tmp_path / "set.zip", zipfile.ZIP_STORED, LARGE + 5)
    limits = Limits(20, 2 * LARGE, 2 * LARGE)
    with pytest.raises(UserError, match="no archive, or a damaged one"):
        list(read_members(path, lambda name: True, limits))


def test_a_table_of_too_many_members_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for number in range(20_000):
            archive.writestr(str(number), b"")

    def call() -> None:
        with pytest.raises(UserError, match="holds more than 20 members"):
            list(read_members(tmp_path / "set.zip", lambda name: True, LIMITS))

    assert peak_of(call) < 1_000_000


@pytest.mark.parametrize("value", [b"\xff", b"\x7f"])
@pytest.mark.parametrize("field", [(b"PK\x01\x02", 28, 6), (b"PK\x05\x06", 10, 10)])
def test_a_damaged_table_is_one_line(
    tmp_path: Path, field: tuple[bytes, int, int], value: bytes
) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        info = zipfile.ZipInfo("train")
        info.extra = struct.pack("<HH", 1, 4) + bytes(4)
        archive.writestr(info, b"x")
    content = bytearray((tmp_path / "set.zip").read_bytes())
    signature, offset, length = field
    start = content.rindex(signature) + offset
    content[start : start + length] = value * length
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_members(tmp_path / "set.zip", lambda name: True, LIMITS))
    assert str(caught.value).isprintable()


def test_a_member_s_name_is_shown_in_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("../\n\x1b[2J" + "x" * 5000, b"")
    with pytest.raises(UserError, match="points out of the archive") as caught:
        list(read_members(tmp_path / "set.zip", lambda name: True, LIMITS))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_file_that_grows_while_it_is_read_is_read_to_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train").write_bytes(bytes(100))
    members = read_members(tmp_path / "set", lambda name: True, LIMITS)
    before = os.lstat

    def grown(path: Any) -> os.stat_result:
        status = before(path)
        Path(path).write_bytes(bytes(10_000))
        return status

    monkeypatch.setattr(Path, "lstat", grown)
    assert dict(members) == {"train": bytes(100)}


def test_compressed_weights_of_torchvision_are_not_unpacked(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "good.pth")
    assert read(tmp_path / "good.pth")["w"].shape == (10**6,)
    with (
        zipfile.ZipFile(tmp_path / "good.pth") as good,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in good.infolist():
            bomb.writestr(member.filename, good.read(member))
    assert (tmp_path / "bomb.pth").stat().st_size < 50_000
    with pytest.raises(UserError, match=r"bomb\.pth: is compressed, .*; fetch it again"):
        read(tmp_path / "bomb.pth")


def test_a_pickle_that_asks_for_a_large_array_gets_none() -> None:
    content = pickle.dumps({b"data": np.zeros((2, 3), np.uint8)}, 3)
    assert unpickled(content)["data"].shape == (2, 3)
    assert content.count(b"K\x00\x85") == 1  # the shape (0,) that NumPy starts from
    large = content.replace(b"K\x00\x85", b"J\x00\x00\x00\x40\x85")

    def call() -> None:
        with pytest.raises(UserError, match=r"not a pickle of arrays .*\(1073741824,\)"):
            unpickled(large)

    assert peak_of(call) < 1_000_000


# -- no regular files ----------------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, device, folder])
@pytest.mark.parametrize("load", [load_arrays, load_prepared, load_raw])
def test_data_that_are_no_regular_file_are_refused(
    tmp_path: Path, make: Callable[[Path], None], load: Callable[[Path], object]
) -> None:
    path = tmp_path / "data.safetensors"
    make(path)
    with pytest.raises(UserError, match=r"data\.safetensors: not a data file .*no regular file"):
        load(path)
    assert noted(path, "listing") == ""


@pytest.mark.parametrize("make", [pipe, device])
def test_an_archive_that_is_no_regular_file_is_refused(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "set.tar")
    with pytest.raises(UserError, match="no regular file or folder"):
        cifar100.read(tmp_path / "set.tar")


# -- what data say of themselves -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "part"),
    [
        ({"std": [0.0]}, "not finite, or a deviation is not above 0"),
        ({"std": [-1.0]}, "not finite, or a deviation is not above 0"),
        ({"std": [float("nan")]}, "not finite"),
        ({"mean": [float("inf")]}, "not finite"),
        ({"std": []}, "one value for each of 1 channels"),
        ({"classes": [0, 1, 2, 3]}, "'classes' are no printable names"),
        ({"classes": ["a", "b", "c", ""]}, "'classes' are no printable names"),
        ({"classes": ["a", "b", "c", "\ud800"]}, "'classes' are no printable names"),
        ({"classes": ["a", "b", "c", "d\n"]}, "'classes' are no printable names"),
    ],
)
def test_statements_that_nothing_can_be_made_of_are_refused(
    prepared: Path, tmp_path: Path, info: dict[str, Any], part: str, monkeypatch: Any
) -> None:
    import json

    from stagewise.data import arrays

    old, told = load_prepared(prepared)
    monkeypatch.setattr(arrays, "canonical_json", json.dumps)  # which writes NaN too
    path = tmp_path / "prepared.safetensors"
    save_arrays(old, {**told, **info}, path)
    with pytest.raises(UserError, match=part) as caught:
        load_prepared(path)
    assert "delete it and run `snakemake data`" in str(caught.value)


def test_raw_classes_must_be_names(tmp_path: Path) -> None:
    raw, path = helpers.toy_raw(), tmp_path / "raw.safetensors"
    arrays = {"images": raw.images, "labels": raw.labels}
    for classes in ([1, 2, 3, 4], ["a", "b", "c", "\udce9"]):
        save_arrays(arrays, {"classes": classes, "notes": {}}, path)
        with pytest.raises(UserError, match="'classes' are no printable names; delete it"):
            load_raw(path)
