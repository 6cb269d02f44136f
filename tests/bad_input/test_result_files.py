"""Records, plans, timings, tables and logits with hostile values, or no files at all: every script
that reads them ends in one line that names the file, or does without; never in a traceback."""

import argparse
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stagewise import files
from stagewise.analysis.records import csv_files
from stagewise.analysis.records import logits as logits_file
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.logits import read_logits
from stagewise.analysis.records.run_files import RunFiles
from stagewise.analysis.records.study import read_study
from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.process.machine import default_device
from stagewise.process.scripting import gigabytes, table_bytes
from stagewise.training.devices import torch_device

HOSTILE = {
    "a huge number": "1" + "0" * 400,
    "beyond 64 bits": str(2**63),
    "infinite": "1e999",
    "minus infinite": "-1e999",
    "a lone surrogate": r'"\ud800"',
    "half a pair in a key": r'{"\uDFFF": 1}',
    "no number": "NaN",
}


def refused(path: Path, call: Callable[[], object], part: str = "") -> None:
    """``call`` refuses ``path`` in one line that holds ``part``."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert str(path) in text
    assert part in text, text
    assert len(text.splitlines()) == 1, text
    text.encode()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


NO_FILES = [pipe, device, folder]


@pytest.mark.parametrize("value", HOSTILE)
def test_json_that_cannot_be_written_again_is_refused(tmp_path: Path, value: str) -> None:
    file = tmp_path / "record.json"
    file.write_text(f'{{"a": [{HOSTILE[value]}]}}')
    refused(file, lambda: read_json(file), "not valid JSON")


@pytest.mark.parametrize("text", [r'"\ud83d\ude00"', r'"\\ud800"', str(2**63 - 1), "-1e300"])
def test_json_that_can_be_written_again_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "file.json").write_text(text)
    assert read_json(tmp_path / "file.json") == json.loads(text)


@pytest.mark.parametrize("make", NO_FILES)
def test_no_pipe_device_or_folder_is_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    for name in ("record.json", "timing.json", "history.csv", "shock.csv", "logits.npz"):
        make(tmp_path / name)
    run = RunFiles(tmp_path)
    assert run.finished
    assert run.logs_shock
    refused(tmp_path / "record.json", lambda: run.record)
    refused(tmp_path / "timing.json", lambda: run.timing)
    refused(tmp_path / "history.csv", lambda: run.history)
    refused(tmp_path / "shock.csv", lambda: run.shock)
    refused(tmp_path / "logits.npz", lambda: run.logits("test"))


def test_files_that_are_too_large_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1,2,3\n" * 100)
    refused(file, lambda: read_json(file, 100), "Larger than such a file can be")
    monkeypatch.setattr(csv_files, "LARGEST_CSV", 100)
    refused(file, lambda: read_csv(file), "Larger than such a file can be")
    monkeypatch.setattr(logits_file, "LARGEST_LOGITS", 100)
    file.rename(tmp_path / "logits.npz")
    refused(tmp_path / "logits.npz", lambda: read_logits(tmp_path), "at most 100 are read")
    with (tmp_path / "plan.json").open("wb") as stream:
        stream.truncate(files.LARGEST_JSON + 1)
    refused(tmp_path / "plan.json", lambda: read_study(tmp_path / "plan.json"), "Larger than")


# -- logits that state more than they hold -------------------------------------------------------


def stated(shape: str, kind: str = "<f4") -> bytes:
    """The header of an array of this shape."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    ("content", "packing", "part"),
    [
        (stated("(1, 1500000, 1000)"), zipfile.ZIP_STORED, "states 6000000000 bytes"),
        (stated("(1, 10, 4)") + bytes(159), zipfile.ZIP_STORED, "states 160 bytes"),
        (stated("(1, 10, 4)") + bytes(161), zipfile.ZIP_STORED, "states 160 bytes"),
        (stated("(-1, -10, 4)") + bytes(160), zipfile.ZIP_STORED, "states 160 bytes"),
        (stated("(1, 10, 4)") + bytes(160), zipfile.ZIP_DEFLATED, "is packed"),
        (
            stated("(1, 10, 4)").replace(b"\x01\x00", b"\x09\x00", 1),
            zipfile.ZIP_STORED,
            "is of version (9, 0)",
        ),
    ],
    ids=["6 GB", "short", "long", "negative", "packed", "another version"],
)
def test_logits_are_judged_by_their_header(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    packing: int,
    part: str,
) -> None:
    def read(*arguments: object, **options: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(logits_file.npy, "read_array", read)
    with zipfile.ZipFile(tmp_path / "logits.npz", "w", packing) as archive:
        for name in ("test", "test_labels"):
            archive.writestr(f"{name}.npy", content)
    refused(tmp_path / "logits.npz", lambda: read_logits(tmp_path, ("test",)), part)


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("1,inf,5", "column 'validation_accuracy' holds a number beyond all bounds"),
        (f"1,{'9' * 400},5", "column 'validation_accuracy'"),
        ("1,True,5", "something else than numbers"),
        ("1,words,5", "something else than numbers"),
        (",1.0,5", "something else than whole numbers"),
        ("1.5,1.0,5", "something else than whole numbers"),
        ("1e300,1.0,5", "something else than whole numbers"),
        ("1,1.0,words", "column 'exit' holds something else than exits"),
        ("1,1.0,²", "column 'exit' holds something else than exits"),
        ("1,1.0,5\n1,2.0,5", "two rows of one epoch"),
    ],
)
def test_a_table_with_a_hostile_value_is_refused(tmp_path: Path, row: str, part: str) -> None:
    file = tmp_path / "history.csv"
    file.write_text(f"epoch,validation_accuracy,exit\n{row}\n")
    columns = ("epoch", "validation_accuracy", "exit")
    refused(file, lambda: read_csv(file, columns, key=("epoch",)), part)


def test_words_that_are_not_known_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "claims.csv"
    file.write_text("unit,claim\nmiles,A1\n")
    refused(file, lambda: read_csv(file, ("unit",), {"unit": ("points",)}), "holds 'miles'")
    file.write_bytes(b"unit,claim\n\xed\xa0\x80,A1\n")
    refused(file, lambda: read_csv(file, ("unit",)), "not a readable CSV")


# -- environment ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "words", "1e30"])
def test_a_size_of_tables_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{value}' is no size"):
        gigabytes(value)
    assert gigabytes("0.5") == 2**29


def test_a_bad_variable_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No usage of the script, which did not name it."""
    monkeypatch.setenv("STAGEWISE_TABLE_GB", "nan")
    with pytest.raises(UserError, match=r"^STAGEWISE_TABLE_GB: 'nan' is no size; give 0 to"):
        table_bytes()
    monkeypatch.setenv("STAGEWISE_TABLE_GB", "0.5")
    assert table_bytes() == 2**29
    monkeypatch.setenv("STAGEWISE_DEVICE", "gpu")
    with pytest.raises(UserError, match=r"^STAGEWISE_DEVICE: 'gpu' is no device; write cpu"):
        default_device()
    monkeypatch.setenv("STAGEWISE_DEVICE", "cuda:1")
    assert default_device() == "cuda:1"


@pytest.mark.parametrize("name", ["nonsense", "cuda:x", "meta", "", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"--device: '{name}'"):
        torch_device(name)


def test_cuda_without_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="no GPU that torch can use"):
        torch_device("cuda")
    assert torch_device("cpu").type == "cpu"
