"""A plan: which runs there are, who descends from whom, and what their specs hold."""

import json
import subprocess
import sys
from collections import Counter
from typing import Any

from plans import COUNTS, RATES, Change, arm, edited, plan

from stagewise.study.planned import PlannedRun
from stagewise.study.spec import PruneSpec, TrainSpec
from stagewise.study.warnings import find_warnings


def test_every_step_has_its_runs() -> None:
    assert Counter(run.step for run in plan().runs.values()) == COUNTS


def test_parents_stand_before_their_children() -> None:
    seen: set[str] = set()
    for path, run in plan().runs.items():
        assert path == run.path
        assert {*run.parents.values()} <= seen, path
        seen.add(path)


def test_every_parent_and_reference_is_in_the_plan() -> None:
    runs = plan().runs
    for run in runs.values():
        assert {*run.parents.values(), run.reference or run.path} <= runs.keys(), run.path


def test_a_reference_is_a_teacher_of_the_same_task() -> None:
    runs = plan().runs
    for run in runs.values():
        if run.reference:
            reference = runs[run.reference]
            assert reference.step == "teachers"
            assert reference.spec.data.task == run.spec.data.task, run.path


def test_specs_hold_settings_only() -> None:
    for run in plan().runs.values():
        assert isinstance(run.spec, PruneSpec if run.step == "pruning" else TrainSpec), run.path
        text = json.dumps(run.spec.written())
        for label in ("display", "pair", "chain", "study", "toy"):
            assert f'"{label}"' not in text, run.path


def test_specs_are_written_and_read_back() -> None:
    for run in plan().runs.values():
        written = json.loads(json.dumps(run.spec.written()))
        assert type(run.spec).read(written) == run.spec, run.path


def test_a_step_asks_for_its_teacher_only_where_its_method_does() -> None:
    for run in plan().runs.values():
        if isinstance(run.spec, TrainSpec):
            distils = run.spec.method["method"] in ("kd", "mskd", "oto")
            assert ("teacher" in run.parents) == distils, run.path


def test_a_spec_leaves_out_what_is_as_its_file_says() -> None:
    def change(raw: dict[str, Any]) -> None:
        same = {"temperature": 4, "weights": {"ce": 0.1}}
        raw["methods"] |= {"same": {"method": "kd", **same}, "kd": same}
        raw["pairs"]["resnet"]["student"]["width"] = 16
        raw["distillation"]["methods"] = ["kd", "hot", "same"]

    found = plan(change)
    plain = arm("distillation/resnet.kd")
    assert arm("distillation/resnet.kd", among=found).spec == plain.spec
    assert arm("distillation/resnet.same", among=found).spec == plain.spec
    assert plain.spec.method == {"method": "kd"}
    assert plain.spec.weights == {}
    assert plain.spec.network == {"network": "resnet8"}
    full = plain.spec.settings()
    assert full["method"] == {"method": "kd", "temperature": 4.0}
    assert full["weights"] == {"ce": 0.1, "kd": 0.9}
    assert full["network"] == {"network": "resnet8", "width": 16}
    assert arm("distillation/resnet.hot").spec.method == {"method": "kd", "temperature": 8.0}


def chains() -> dict[str, PlannedRun]:
    return plan(edited("replicates", "chains")).runs


def test_a_chain_has_its_own_teachers_features_and_draws() -> None:
    runs = chains()
    for run in runs.values():
        assert run.spec.data.draw == run.seed
        for path in (*run.parents.values(), run.reference or run.path):
            assert runs[path].seed == run.seed
    assert len({run.seed for run in runs.values() if run.step == "teachers"}) > 1
    assert len({run.seed for run in runs.values() if run.step == "pretraining"}) > 1


def test_the_first_chain_is_the_study_of_students() -> None:
    """Seed 0 draws nothing anew, and the teachers' seed is 0 there."""
    before = plan().runs
    for path, run in chains().items():
        if run.seed == 0:
            assert run == before[path]
            assert run.spec == before[path].spec
            assert run.parents == before[path].parents


def test_planning_imports_no_torch() -> None:
    check = "import sys, stagewise.study.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_reading_a_spec_imports_nothing_of_planning() -> None:
    check = (
        "import sys\nfrom stagewise.study.spec import TrainSpec\n"
        "print(sorted({'pydantic', 'yaml', 'torch'} & sys.modules.keys()))\n"
        "print([name for name in sys.modules if name.startswith('stagewise.study.')])\n"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n['stagewise.study.spec']\n"


def test_rows_are_plain_json() -> None:
    rows = plan().rows()
    assert json.loads(json.dumps(rows)) == rows
    assert len(rows) == sum(COUNTS.values())


ALL_IMAGES = {"source": "digits", "source_classes": [0, 1, 2]}


def test_the_teachers_network_stands_beside_its_students_where_they_see_less() -> None:
    large = {"students/resnet.large", "students/vgg.large", "students/resnet.large.target"}
    arms = {run.arm for run in plan().runs.values()}
    assert large <= arms
    everything = {run.arm for run in plan(edited("data", ALL_IMAGES)).runs.values()}
    assert not large & everything
    unwanted = {run.arm for run in plan(edited("teachers.same_data", False)).runs.values()}
    assert unwanted == arms - large
    target = arm("students/resnet.large.target").spec
    assert target.network == arm("teachers/resnet.target").spec.network
    assert target.training.epochs == arm("two_stage/resnet.kd").spec.training.epochs
    assert (target.data.task, target.data.images) == ("target", "few")


def warned(change: Change) -> list[str]:
    return [line.partition(":")[0] for line in find_warnings(plan(change))]


def test_teachers_that_see_more_images_without_a_control_are_warned_of() -> None:
    assert "teachers.same_data" in warned(edited("teachers.same_data", False))
    assert "teachers.same_data" not in warned(edited("teachers.same_data", True))


def test_rates_that_are_chosen_on_few_seeds_are_warned_of() -> None:
    def tuning(seeds: list[int], replicates: str) -> Change:
        def change(raw: dict[str, Any]) -> None:
            raw |= {"tune": {"rates": RATES}, "seeds": seeds, "replicates": replicates}

        return change

    assert [*warned(tuning([1, 2], "chains"))][:2] == ["seeds", "replicates"]
    assert "replicates" in warned(tuning([1, 2, 3], "students"))
    assert not {"seeds", "replicates"} & {*warned(tuning([1, 2, 3], "chains"))}
