"""What cannot be written ends in one line that names the file, the space and the mend."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT, architecture, network
from safetensors import SafetensorError

from stagewise.data.arrays import save_arrays
from stagewise.errors import UserError
from stagewise.files import atomic, require_room, write_json, write_text
from stagewise.models.store import save_network
from stagewise.training.checkpoint import Checkpoint

FAILING = """
import sys
from stagewise.process.scripting import run_script
run_script(lambda: open(sys.argv[1], "w") and 0)
"""


def save_state(folder: Path) -> Path:
    checkpoint = Checkpoint(folder)
    checkpoint.save({"weights": torch.zeros(10)}, {"epoch": 1})
    checkpoint.wait()
    return checkpoint.path


def save_text(folder: Path) -> Path:
    write_json(folder / "record.json", {"a": 1})
    return folder / "record.json"


def save_data(folder: Path) -> Path:
    save_arrays({"images": np.zeros(10)}, {}, folder / "prepared.safetensors")
    return folder / "prepared.safetensors"


def save_weights(folder: Path) -> Path:
    save_network(network(), architecture(), folder / "model.safetensors")
    return folder / "model.safetensors"


SAVERS = [save_state, save_text, save_data, save_weights]


@pytest.fixture(params=[0o002, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("save", SAVERS)
def test_a_file_is_as_readable_as_the_umask_says(
    save: Callable[[Path], Path], umask: int, tmp_path: Path
) -> None:
    assert save(tmp_path).stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("save", SAVERS)
def test_a_limit_of_file_sizes_is_named(save: Callable[[Path], Path], tmp_path: Path) -> None:
    save(tmp_path)  # what is loaded at first use is there
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, hard))
    try:
        with pytest.raises(UserError) as told:
            save(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    text = str(told.value)
    assert text.startswith(str(tmp_path / "new"))
    assert "5 bytes are allowed" in text
    assert "ulimit -f" in text
    assert "\n" not in text
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
    ],
)
def test_a_full_disk_is_named_with_the_space_that_is_needed(
    error: Exception, tmp_path: Path
) -> None:
    def write() -> None:
        with atomic(tmp_path / "kept", 3_000_000) as temporary:
            temporary.write_bytes(b"half")
            raise error

    (tmp_path / "kept").write_text("old")
    with pytest.raises(UserError) as told:
        write()
    assert f"{tmp_path / 'kept'} (needs 3.0 MB, " in str(told.value)
    assert " are free): the disk is full; make room there" in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (SafetensorError("no tensors"), OSError(errno.EBADF, "Bad file")):
        with pytest.raises(type(error)), atomic(tmp_path / "file"):
            raise error


def test_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/below/x.*a part of this path is a file"):
        write_text(tmp_path / "file/below/x", "")
    with pytest.raises(UserError, match=r"^/sys/x .needs 3 bytes.: (no permission|the disk is)"):
        write_text("/sys/x", "abc")  # not even by root
    with pytest.raises(UserError, match="the name is too long"):
        write_text(tmp_path / ("x" * 300), "")
    (tmp_path / "folder/in").mkdir(parents=True)
    with pytest.raises(UserError, match="a folder has this name"):
        write_text(tmp_path / "folder", "")


def test_room_is_asked_for_and_left(tmp_path: Path) -> None:
    require_room(tmp_path / "new", 10_000)
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(UserError, match=r"^/sys/new .needs 10,000 bytes.: (no perm|the disk is)"):
        require_room("/sys/new", 10_000)


def test_a_script_says_so_of_any_file() -> None:
    command = [sys.executable, "-c", FAILING, "/sys/x"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: /sys/x: ")
    assert done.stderr.count("\n") == 1
