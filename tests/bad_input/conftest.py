"""Fixtures of bad input: a sound weight file and a sound study of one run."""

import json
from pathlib import Path

import helpers
import numpy as np
import pytest
from damaged import PATH, PLAN, RECORD, good_arrays

from stagewise.analysis.records.study import Study, read_study
from stagewise.models.store import build, save_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shape = helpers.architecture()
    save_network(build(shape, 0), shape, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of one run."""
    folder = tmp_path / PATH
    folder.mkdir(parents=True)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    (folder / "record.json").write_text(json.dumps(RECORD))
    np.savez(folder / "logits.npz", **good_arrays())
    return read_study(tmp_path / "plan.json", tmp_path)
