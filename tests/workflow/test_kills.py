"""Whatever is killed, the next ``snakemake`` goes on and ends with an undisturbed run's bits."""

import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from projects import EXACT, PROJECT, Project, copy_project

from stagewise.files import sha256_file

RUN = "runs/kill/students/resnet.baseline/seed-0"
LOG = "logs/kill/students/resnet.baseline.seed-0.log"
COMMAND = ("snakemake", f"{RUN}/record.json")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project that has prepared its data and trained nothing."""
    project = copy_project(tmp_path_factory.mktemp("fresh"))
    shutil.copy(PROJECT / "Makefile", project.folder)
    project.configure("kill", epochs=300, evaluate_every=150)
    project.run("snakemake", "data")
    return project


@pytest.fixture(scope="module")
def calm(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which training went undisturbed."""
    project = Project(tmp_path_factory.mktemp("calm") / "project")
    shutil.copytree(fresh.folder, project.folder)
    project.run(*COMMAND)
    return project


@pytest.fixture
def project(fresh: Project, tmp_path: Path) -> Project:
    """A copy of the fresh project for one test."""
    shutil.copytree(fresh.folder, tmp_path / "project")
    return Project(tmp_path / "project")


def hashes(project: Project) -> dict[str, str]:
    """What must not depend on interruptions."""
    return {name: sha256_file(project.folder / RUN / name) for name in EXACT}


@contextmanager
def started(project: Project, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake under way, in a session of its own; nothing of it outlives the block."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with open(project.folder / "snakemake.log", "ab") as log:
        process = subprocess.Popen(
            COMMAND,
            cwd=project.folder,
            env={**os.environ, "PATH": path, "STAGEWISE_DEVICE": "cpu"},
            **{"stdout": log, "stderr": log, "start_new_session": True, **options},
        )
    try:
        yield process
    finally:
        for number in (process.pid, *jobs(project)):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.wait()


def jobs(project: Project) -> list[int]:
    """Numbers of the training processes that live in the project's folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            here = os.readlink(process / "cwd") == str(project.folder)
            if here and b"scripts/train.py" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The condition's value as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def trains(project: Project) -> int:
    """Wait until the run has saved a state; the number of its process."""
    wait_for(lambda: list(project.folder.glob(f"work/{RUN}/*/state.safetensors")))
    (number,) = jobs(project)
    return number


def kill_snakemake(project: Project) -> None:
    with started(project) as snakemake:
        trains(project)
        snakemake.kill()
        wait_for(lambda: not jobs(project), 5)


def kill_job(project: Project) -> None:
    with started(project) as snakemake:
        os.kill(trains(project), signal.SIGKILL)
        assert snakemake.wait() == 1


def close_terminal(project: Project) -> None:
    ours, theirs = pty.openpty()
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs}

    def log_in() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, around the tests, ignores it
        os.login_tty(theirs)

    with started(project, preexec_fn=log_in, **terminal) as snakemake:
        os.close(theirs)
        trains(project)
        os.close(ours)
        snakemake.wait()
        wait_for(lambda: not jobs(project), 5)


@pytest.mark.parametrize("kill", [kill_snakemake, kill_job, close_terminal])
def test_the_next_start_goes_on_bit_for_bit(
    project: Project, calm: Project, kill: Callable[[Project], None]
) -> None:
    kill(project)
    assert not jobs(project)
    assert not list((project.folder / RUN).glob("*"))
    if kill is kill_snakemake:
        refused = project.run(*COMMAND, check=False)
        assert "LockException" in refused.stderr
        assert "--unlock" in refused.stderr
    if kill is not kill_job:
        project.run("snakemake", "--unlock")
    project.run(*COMMAND)
    assert "goes on after epoch" in (project.folder / LOG).read_text()
    assert hashes(project) == hashes(calm)


def test_one_command_cleans_up_after_the_worst(project: Project, calm: Project) -> None:
    with started(project) as snakemake:
        job = trains(project)
        busy = project.run("make", "clean-work", check=False)
        assert busy.returncode != 0
        assert f"process {snakemake.pid}, a Snakemake, still runs here" in busy.stdout
        for number in (snakemake.pid, job):
            os.kill(number, signal.SIGKILL)
    folder = project.folder / RUN
    for path in (calm.folder / RUN).iterdir():  # as if the machine had died while writing
        (folder / path.name).write_bytes(path.read_bytes()[:100])
    for half in (".model.safetensors.123.tmp", ".tmpAbC123"):  # ours, and safetensors' own
        (folder / half).write_bytes(b"half")
    project.run("make", "clean-work")
    assert not (project.folder / "work").exists()
    assert not list(project.folder.rglob(".*.tmp"))
    assert not list(project.folder.rglob(".tmp*"))
    project.run(*COMMAND)
    assert "goes on" not in (project.folder / LOG).read_text()
    assert hashes(project) == hashes(calm)


def test_a_full_disk_stops_the_run_and_spoils_nothing(project: Project, calm: Project) -> None:
    # Bytes in a file: less than a state, more than what Snakemake and Python write (modules that
    # Python compiles are cut off without an error).
    most = 60_000
    limit = (resource.RLIMIT_FSIZE, (most, most))
    with started(project, preexec_fn=lambda: resource.setrlimit(*limit)) as snakemake:
        assert snakemake.wait() == 1
    assert not list((project.folder / "work").rglob("*state*"))
    assert not list((project.folder / RUN).glob("*"))
    said = (project.folder / LOG).read_text()
    assert "state.safetensors (needs " in said
    assert "60,000 bytes are allowed): larger than a file of this process may be" in said
    assert "Traceback" not in said
    project.run(*COMMAND)
    assert hashes(project) == hashes(calm)


SETPRIV = """#!/bin/bash
kill -KILL $PPID
while grep -q "^PPid:.$PPID$" /proc/$$/status; do sleep 0.01; done
exec {setpriv} "$@"
"""
"""Snakemake ends in the first moments of the job's life: before the job asks to die with it."""


def test_a_job_that_is_too_young_to_die_with_its_snakemake_does_nothing(project: Project) -> None:
    young = project.folder / "bin/setpriv"
    young.parent.mkdir()
    young.write_text(SETPRIV.format(setpriv=shutil.which("setpriv")))
    young.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{young.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STAGEWISE_DEVICE": "cpu",
    }
    with open(project.folder / "snakemake.log", "wb") as log:
        command = subprocess.Popen(
            COMMAND, cwd=project.folder, env=environment, stdout=log, stderr=log
        )
    assert command.wait() == -signal.SIGKILL
    wait_for(lambda: "has ended" in (project.folder / LOG).read_text())
    wait_for(lambda: not jobs(project), 5)
    assert not list(project.folder.glob(f"work/{RUN}/*"))


def test_of_two_starts_at_once_one_trains(project: Project, calm: Project) -> None:
    with started(project) as one, started(project) as other:
        assert sorted([one.wait(), other.wait()]) == [0, 1]
    assert "LockException" in (project.folder / "snakemake.log").read_text()
    assert hashes(project) == hashes(calm)
    assert "Nothing to be done" in project.run(*COMMAND).stderr
