"""Records that are not the plan's, of other data, or of other parents are refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stagewise.analysis.records.agreement import disagreements, mixed_code
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import summarise
from stagewise.errors import UserError
from stagewise.files import sha256_file

MakeStudy = Callable[..., Study]
TINY: dict[str, Any] = {
    "pruning": [],
    "two_stage": {"pairs": []},
    "multi_exit": {},
    "distillation": {"pairs": ["resnet"], "methods": ["kd"]},
    "seeds": (0, 1),
}
TEACHER, STUDENT = "runs/toy/teachers/resnet/seed-0", "runs/toy/distillation/resnet.kd/seed-1"


def edited(study: Study, path: str, edit: Callable[[dict[str, Any]], None]) -> Study:
    """The study, read anew, once a record was edited."""
    file = study.folder(path) / "record.json"
    record = json.loads(file.read_text())
    edit(record)
    file.write_text(json.dumps(record))
    return read_study(study.root / "plan.json", study.root)


def test_records_of_the_plan_agree(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    assert disagreements(study) == {}
    assert mixed_code(study) == []


@pytest.mark.parametrize("step", [evaluate, summarise])
def test_other_settings_are_refused_by_name(make_study: MakeStudy, step: Any) -> None:
    study = make_study(**TINY)
    given = (evaluate(study),) if step is summarise else ()
    study = edited(study, STUDENT, lambda record: record["spec"]["training"].update(epochs=1))
    with pytest.raises(UserError, match="1 run is not what the plan says") as error:
        step(study, *given)
    said = str(error.value)
    assert f"{study.folder(STUDENT)} (training.epochs 1, planned 100)" in said
    assert "delete these folders and run again" in said
    assert "\n" not in said


def test_a_setting_that_only_one_states(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    study = edited(study, STUDENT, lambda record: record["spec"].update(weights={"kd": 0.5}))
    assert disagreements(study) == {STUDENT: "weights.kd 0.5, planned 0.9"}
    study = edited(study, STUDENT, lambda record: record["spec"].update(weights={"kd": 0.9}))
    assert disagreements(study) == {}  # a default that is written is the same setting


def test_a_spec_of_other_code(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    study = edited(study, STUDENT, lambda record: record["spec"].update(gone=[1]))
    assert disagreements(study) == {STUDENT: "gone [1], planned none"}


def test_runs_on_other_data_than_most(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    study = edited(study, STUDENT, lambda record: record.update(data_sha256="e" * 64))
    assert disagreements(study) == {STUDENT: "data eeeeeeee, now dddddddd"}


def test_runs_on_other_data_than_those_that_are_here(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    data = study.root / "data/toy/prepared.safetensors"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"other images")
    study = edited(study, TEACHER, lambda record: record.update(data_sha256=sha256_file(data)))
    found = disagreements(study)
    assert found.keys() == set(study.runs["path"]) - {TEACHER}
    with pytest.raises(UserError, match=rf"^{len(found)} runs are .* and {len(found) - 5} more;"):
        evaluate(study)


def test_a_teacher_that_was_trained_again(make_study: MakeStudy) -> None:
    study = make_study(**TINY)
    study = edited(study, TEACHER, lambda record: record.update(model_sha256="f" * 64))
    found = disagreements(study)
    assert found[STUDENT] == "weights of its teacher bbbbbbbb, now ffffffff"
    children = [run["path"] for run in study.runs.to_dict("records") if run["parents"]]
    assert set(found) == {path for path in children if "resnet" in path}


def test_a_plan_without_specs_is_not_compared(make_study: MakeStudy, tmp_path: Path) -> None:
    """As kept evidence has it."""
    study = make_study(**TINY)
    plan = json.loads((study.root / "plan.json").read_text())
    for run in plan["runs"]:
        del run["spec"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    study = edited(study, STUDENT, lambda record: record["spec"]["training"].update(epochs=1))
    assert disagreements(study) == {}


def test_mixed_code_is_told(
    make_study: MakeStudy,
    run_script: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = edited(make_study(**TINY), STUDENT, lambda record: record.update(code="e" * 12))
    assert disagreements(study) == {}
    run_script(study.root, "evaluate", "--plan", "plan.json", "--out", "evaluation.csv")
    warned = capsys.readouterr().err
    assert "different code in 1 of" in warned
    assert "(distillation/resnet.kd)" in warned
