"""A disk that really fills up: a small tmpfs, for which one must be root."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import EXACT, Project, copy_project

from stagewise.files import sha256_file

RUN = Path("runs/full/students/resnet.baseline/seed-0")
FILLED = (
    (0, ".snakemake (needs 50,000 bytes, "),
    (80_000, "state.safetensors (needs "),
    (150_000, "state.safetensors (needs "),
)
"""Bytes left on a disk that fills up ever later, and what is said then."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_with_space_again_the_run_ends_as_if_undisturbed(tmp_path: Path, disk: Path) -> None:
    calm = copy_project(tmp_path)
    calm.configure("full", epochs=5)
    calm.run("snakemake", "data")
    # Python leaves compiled modules that a full disk cut off, and fails on them ever after.
    calm.run("python", "-m", "compileall", "-q", "src")
    project = Project(disk / "project")
    shutil.copytree(
        calm.folder, project.folder, ignore=shutil.ignore_patterns("disk", ".snakemake")
    )
    shutil.copytree(calm.folder / ".snakemake/metadata", project.folder / ".snakemake/metadata")
    command = ("snakemake", f"{RUN}/record.json")
    calm.run(*command)

    ballast = disk / "ballast"
    for spare, says in FILLED:
        free = shutil.disk_usage(disk).free
        ballast.write_bytes(bytes(free - spare))
        full = project.run(*command, check=False)
        assert full.returncode == 1
        assert says in full.stderr
        log = project.folder / f"logs/full/students/{RUN.parts[-2]}.{RUN.parts[-1]}.log"
        assert not (log.exists() and "Traceback" in log.read_text())
        assert not list(project.folder.glob(f"{RUN}/*.tmp"))
        ballast.unlink()
        project.run("snakemake", "--unlock")
    project.run(*command)
    for name in EXACT:
        ours, theirs = project.folder / RUN / name, calm.folder / RUN / name
        assert sha256_file(ours) == sha256_file(theirs)


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    made, seen = tmp_path / "made", tmp_path / "seen"
    made.mkdir()
    seen.mkdir()
    copy_project(made).configure("full", epochs=5)
    subprocess.run(["mount", "--bind", made, seen], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", seen], check=True)
    try:
        for command in (("snakemake", "-n"), ("snakemake", "data")):
            done = Project(seen).run(*command, check=False)
            assert done.returncode == 1
            said = done.stdout + done.stderr
            assert ".snakemake (needs 50,000 bytes): the disk is read-only; work in" in said
            assert "Traceback" not in said
    finally:
        subprocess.run(["umount", "--lazy", seen], check=True)
