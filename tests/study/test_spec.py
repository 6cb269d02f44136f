"""Specs: written without what is not used, read back the same, refused by name."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from stagewise.errors import UserError
from stagewise.study.config import load_config
from stagewise.study.plan import make_plan
from stagewise.study.spec import Images, PruneSpec, Training, TrainSpec

ROOT = Path(__file__).resolve().parents[2]
SPEC = TrainSpec(
    seed=3,
    data=Images(task="target", images="few"),
    init="scratch",
    method={"method": "kd", "temperature": 2.0},
    recipe={"recipe": "one_stage"},
    training=Training(epochs=7, mixup=0.2),
    network={"network": "resnet8"},
    observers=("shock",),
)


def test_a_spec_is_read_as_it_was_written() -> None:
    assert TrainSpec.read(json.loads(json.dumps(SPEC.written()))) == SPEC


def test_what_is_not_used_is_not_written() -> None:
    written = SPEC.written()
    assert written["training"]["mixup"] == 0.2
    assert not {"rotation", "auto_augment"} & written["training"].keys()
    assert not {"weights", "exits"} & written.keys()
    assert written["training"]["batch_size"] == Training().batch_size, "stated, whatever its value"


def test_the_plans_specs_read_back_the_same() -> None:
    plan = make_plan(load_config(ROOT / "config.yaml"))
    for run in plan.runs.values():
        kind = type(run.spec)
        assert kind in (TrainSpec, PruneSpec)
        assert kind.read(json.loads(json.dumps(run.spec.written()))) == run.spec


def test_settings_hold_every_option() -> None:
    settings = SPEC.settings()
    assert settings["method"] == {"method": "kd", "temperature": 2.0}
    assert settings["weights"] == {"ce": 0.1, "kd": 0.9}
    assert settings["network"]["width"] > 0
    assert settings["training"]["rotation"] == 0


def test_defaults_that_mean_unused_never_change() -> None:
    """Where no spec states a value, the value in force must be the one of old records."""
    unused = {f.name: f.default for f in fields(Training) if not f.metadata.get("stated")}
    known = {"rotation": 0.0, "auto_augment": False, "mixup": 0.0, "cutmix": 0.0}
    known |= {"nesterov": False, "milestones": ()}
    assert {name: unused[name] for name in known} == known
    assert all(not value for value in unused.values()), "unused is zero, false or empty"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"sed": 1}, "'sed' is unknown; did you mean 'seed'"),
        ({"seed": "3"}, "seed: '3' is of the wrong type"),
        ({"seed": True}, "seed: True is of the wrong type"),
        ({"observers": "shock"}, "observers: 'shock' is of the wrong type"),
        ({"training": {"mixup": []}}, r"mixup: \[\] is of the wrong type"),
        ({"training": {"epoch": 1}}, "'epoch' is unknown; did you mean 'epochs'"),
        ({"data": 5}, "5 is no mapping"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        TrainSpec.read(SPEC.written() | change)


def test_a_spec_that_lacks_a_key_is_refused() -> None:
    with pytest.raises(UserError, match=r"missing.*'seed'.*add it"):
        TrainSpec.read({k: v for k, v in SPEC.written().items() if k != "seed"})


PLANNED = """
import json, sys
from pathlib import Path
from stagewise.study.config import load_config
from stagewise.study.fingerprint import fingerprint
from stagewise.study.plan import make_plan
plan = make_plan(load_config(sys.argv[1]))
script = Path(sys.argv[2]) / "scripts/train.py"
found = []
for run in plan.runs.values():
    found.append([run.path, run.spec.written(), fingerprint(script, *run.spec.modules())])
print(json.dumps(found))
"""


def test_a_new_option_with_a_default_reruns_nothing(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)

    def planned() -> list[Any]:
        command = [sys.executable, "-c", PLANNED, str(ROOT / "config/smoke.yaml"), str(tmp_path)]
        environment = {"PYTHONPATH": str(tmp_path / "src"), "PATH": ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return list(json.loads(done.stdout))

    before = planned()
    assert len(before) > 5
    spec = tmp_path / "src/stagewise/study/spec.py"
    text = spec.read_text(encoding="utf-8")
    added = '    cutmix: float = 0.0\n    """Alpha of CutMix; 0 is none."""\n'
    spec.write_text(text.replace("    evaluate_every:", f"{added}    evaluate_every:", 1))
    assert "cutmix" in spec.read_text(encoding="utf-8")
    assert planned() == before
