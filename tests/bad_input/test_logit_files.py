"""Logits: wrong, cut short, hostile."""

import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged import PATH, Trap, good_arrays, refused
from helpers import ROOT

from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.logits import read_logits
from stagewise.analysis.records.study import Study


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"test": None}, "corrupted"),
        ({"test_labels": None}, "corrupted"),
        ({"test": np.array([object()])}, "corrupted"),
        ({"test": np.zeros((10, 4), np.float32)}, "expected (exits, images, classes)"),
        ({"test": np.zeros((1, 9, 4), np.float32)}, "expected (exits, images, classes)"),
        ({"test": np.zeros((2, 10, 4), np.float32)}, "exits and classes"),
        ({"test": np.zeros((1, 10, 5), np.float32)}, "exits and classes"),
        ({"test": np.zeros((1, 10, 4), np.int64)}, "expected floats"),
        ({"test": np.zeros((1, 10, 4), "U3")}, "expected floats"),
        ({"test": np.zeros((1, 10, 4), complex)}, "expected floats"),
        ({"test_labels": np.zeros(10)}, "expected floats and whole numbers"),
        ({"test_labels": np.zeros((10, 1), int)}, "expected (exits, images, classes)"),
        ({"test_labels": np.full(10, 4)}, "labels that are none of these"),
        ({"test_labels": np.full(10, -1)}, "labels that are none of these"),
        ({"test": np.zeros((1, 0, 4), np.float32), "test_labels": np.zeros(0, int)}, "0 images"),
        ({"test": np.zeros((0, 10, 4), np.float32)}, "0 exits"),
    ],
)
def test_wrong_logits_are_refused(study: Study, changes: dict[str, Any], part: str) -> None:
    file = study.folder(PATH) / "logits.npz"
    arrays = {
        name: array for name, array in {**good_arrays(), **changes}.items() if array is not None
    }
    np.savez(file, **arrays)
    refused(file, lambda: read_logits(file.parent), part)


def test_logits_of_a_diverged_run_are_no_damage(study: Study) -> None:
    arrays = good_arrays()
    arrays["test"] = np.full_like(arrays["test"], np.nan)
    np.savez(study.folder(PATH) / "logits.npz", **arrays)
    table = evaluate(study)
    assert table.loc[table["split"] == "test", "accuracy"].tolist() == [0.0]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_logits_are_refused(study: Study, share: float) -> None:
    file = study.folder(PATH) / "logits.npz"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, lambda: read_logits(file.parent), "corrupted")


def npy(header: bytes) -> bytes:
    """A npy file of version 1.0 with a header of one's own."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    "content",
    [
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (10**15,), }\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999,), }\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 3, 2), }\n"),
        npy(b"__import__('os').mkdir('ran')\n"),
        npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n" + b"cos\nsystem\n."),
        npy(b"{" * 500),
        b"no array",
    ],
)
def test_a_hostile_array_is_refused(
    study: Study, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = study.folder(PATH) / "logits.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name in good_arrays():
            archive.writestr(f"{name}.npy", content)
    refused(file, lambda: read_logits(file.parent))
    assert not (tmp_path / "ran").exists()


def test_no_pickle_in_logits_runs(study: Study, tmp_path: Path) -> None:
    file, mark = study.folder(PATH) / "logits.npz", tmp_path / "ran"
    trap = np.empty(1, object)
    trap[0] = Trap(mark)
    np.savez(file, **{**good_arrays(), "test": trap})
    refused(file, lambda: read_logits(file.parent), "corrupted")
    for content in (pickle.dumps(Trap(mark)), b"\x80\x04."):
        file.write_bytes(content)
        refused(file, lambda: read_logits(file.parent), "corrupted")
    with open(file, "wb") as stream:
        np.save(stream, trap)
    refused(file, lambda: read_logits(file.parent), "corrupted")
    assert not mark.exists()
    with open(file, "rb") as stream:  # the trap would have worked
        np.load(stream, allow_pickle=True)
    assert mark.exists()


def test_a_script_says_it_in_one_line_and_writes_nothing(study: Study) -> None:
    file = study.folder(PATH) / "logits.npz"
    file.write_bytes(pickle.dumps(Trap(study.root / "ran")))
    command = [sys.executable, str(ROOT / "scripts/evaluate.py"), "--plan", "plan.json"]
    command += ["--out", "evaluation.csv"]
    done = subprocess.run(command, cwd=study.root, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {PATH}/logits.npz: corrupted logits")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in study.root.iterdir()} == {"plan.json", "runs"}
