"""Fixtures of all rooms: one tiny data set and the networks trained on it, made when first used."""

import sys
from pathlib import Path

import pytest

from stagewise.process import scripting

# A script that runs inside the tests' process ends with ``SystemExit``, not with the process.
scripting.leave = sys.exit


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data: 4 classes x 12 images of 8x8; classes 0 and 1 are the source."""
    from helpers import toy_data

    return toy_data(tmp_path_factory.mktemp("data") / "prepared.safetensors")


@pytest.fixture(scope="session")
def parents(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> dict[str, Path]:
    """Weight files: ``teacher``, ``teacher.target``, ``teacher.exits``, ``features``, ``student``,
    all trained for a few epochs by the library's own runs."""
    from helpers import toy_parents

    return toy_parents(tmp_path_factory.mktemp("parents"), prepared)
