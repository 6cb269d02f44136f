"""Every line that docs/workflow.md shows is run, in its order, in a copy of the project."""

import os
import re
import shutil
from pathlib import Path

import pytest
from projects import PROJECT, copy_project

LINES = [
    line.split("  #")[0].strip()
    for block in re.findall(
        r"```sh\n(.*?)```", (PROJECT / "docs/workflow.md").read_text(encoding="utf-8"), re.S
    )
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A repository whose default study is the smoke study, with DVC set up as in the project."""
    folder = tmp_path_factory.mktemp("docs") / "stagewise"
    folder.mkdir()
    project = copy_project(folder)
    shutil.copy(folder / "config/smoke.yaml", folder / "config.yaml")
    for name in (".gitignore", ".dvcignore", "dvc.yaml", "Makefile"):
        shutil.copy(PROJECT / name, folder / name)
    shutil.copytree(
        PROJECT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache")
    )
    project.run("git", "init", "-q")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "add", "-A")
    project.run("git", "commit", "-qm", "start")
    return project


def test_every_line_of_the_page_runs(clone):
    assert len(LINES) > 20
    for line in LINES:
        done = clone.run("bash", "-ec", line, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert Path(clone.folder, "results/smoke/report.html").exists()
    assert Path(clone.folder, ".smoke/results/smoke/report.html").exists()
    assert os.listdir(clone.folder.parent / "stagewise-storage")
