"""No process outlives the one that started it, not even one too young to hear of its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from stagewise.process.family import VARIABLE, orphaned

YOUNG = """
import os, sys, time
from pathlib import Path
from stagewise.process.family import die_with

parent = os.getpid()
if os.fork():
    if sys.argv[1] == "dies":
        os._exit(0)
    os.wait()
    os._exit(0)
while sys.argv[1] == "dies" and os.getppid() == parent:
    time.sleep(0.01)
die_with(parent)
Path(sys.argv[2]).write_text("lives")
os._exit(0)
"""
SCRIPT = "from stagewise.process.scripting import run_script; run_script(lambda: print('works'))"


def dead() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(("parent", "lives"), [("lives", True), ("dies", False)])
def test_a_fork_looks_for_its_parent(parent: str, lives: bool, tmp_path: Path) -> None:
    reading, writing = os.pipe()  # closed when the last of them has ended
    command = [sys.executable, "-c", YOUNG, parent, str(tmp_path / "mark")]
    subprocess.run(command, check=True, pass_fds=[writing])
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert (tmp_path / "mark").exists() == lives


def test_a_process_knows_its_ancestors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not orphaned()
    monkeypatch.setenv(VARIABLE, str(os.getppid()))
    assert not orphaned()
    monkeypatch.setenv(VARIABLE, "1")
    assert not orphaned()
    monkeypatch.setenv(VARIABLE, str(dead()))
    assert orphaned()


@pytest.mark.parametrize("ended", [False, True])
def test_a_job_whose_snakemake_has_ended_does_nothing(ended: bool) -> None:
    parent = dead() if ended else os.getpid()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), VARIABLE: str(parent)}
    command = ["bash", "-c", '"$0" -c "$1" | cat; exit ${PIPESTATUS[0]}', sys.executable, SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == int(ended)
    assert done.stdout == ("" if ended else "works\n")
    assert ("the Snakemake that started this has ended" in done.stderr) == ended
