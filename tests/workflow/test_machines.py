"""Machines that lack something: the same study, a little later or with plain words."""

from pathlib import Path

import pytest
from projects import Project, copy_project

NO_SOCKETS = """
import errno
import socket

class Socket(socket.socket):
    def bind(self, address):
        if self.family == socket.AF_UNIX:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        super().bind(address)

socket.socket = Socket
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three students of one epoch, so many that a warm process is started for them."""
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project")
    project.configure("machines", epochs=1)
    project.replace("config.yaml", '"seeds": [0]', '"seeds": [0, 1, 2]')
    return project


def test_without_unix_sockets_every_run_starts_by_itself(project: Project) -> None:
    (project.folder / "src/sitecustomize.py").write_text(NO_SOCKETS)
    done = project.run("snakemake", "students", "--cores", "2")
    assert "note: work/warm.socket: no socket can be here (Operation not supported)" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(project.folder.glob("runs/machines/students/*/seed-2/record.json"))) > 0


def test_a_warm_process_leaves_nothing_behind(project: Project) -> None:
    done = project.run("snakemake", "students", "--cores", "2")
    assert "socket" not in done.stderr
    assert not (project.folder / "work/warm.socket").exists()


def test_a_device_of_another_name_is_refused_at_once(
    project: Project,
) -> None:
    command = ("env", "STAGEWISE_DEVICE=gpu", "snakemake", "-n")
    done = project.run(*command, check=False)
    assert "STAGEWISE_DEVICE: 'gpu' is no device; write cpu, cuda or cuda:1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1
