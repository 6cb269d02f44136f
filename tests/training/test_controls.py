"""The negative control, trained for real: a teacher that speaks of other images helps nobody."""

import json
from pathlib import Path

import pytest
from helpers import CE, KD, run_spec, train

SHUFFLED = {"method": {"method": "kd_shuffled"}}
LONG = {"epochs": 12}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_shuffled_teacher_does_not_help(prepared: Path, tmp_path: Path, seed: int) -> None:
    full = {"task": "all", "images": "full"}
    teacher = train(run_spec(LONG, seed=7, data=full), prepared, tmp_path / "teacher")
    accuracy = {}
    for name, method in {"alone": CE, "kd": KD, "shuffled": SHUFFLED}.items():
        parents = {} if method is CE else {"teacher": teacher}
        model = train(run_spec(LONG, seed=seed, **method), prepared, tmp_path / name, **parents)
        record = json.loads((model.parent / "record.json").read_text())
        accuracy[name] = record["final"]["test_accuracy"]
    assert accuracy["alone"] > 80
    assert accuracy["shuffled"] <= accuracy["alone"]
    assert accuracy["kd"] > accuracy["shuffled"]  # the same teacher, asked about the right image
