"""A copy of the project in which the smoke study has run, shared by the tests of the workflow."""

import shutil
from pathlib import Path

import pytest
from projects import Project, copy_project


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which the smoke study has run once. Tests that edit it use ``project``."""
    project = copy_project(tmp_path_factory.mktemp("smoke"))
    project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project for one test's edits."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder)
    return Project(folder)
