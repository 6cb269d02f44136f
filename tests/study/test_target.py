"""A target's candidates become arms; what it asks for is a bound on what they take."""

import pytest

from stagewise.errors import UserError
from stagewise.study.config import resolve_config
from stagewise.study.goals import bound
from stagewise.study.plan import make_plan

CONFIG = {
    "study": "s",
    "seeds": [0, 1],
    "data": {"source": "digits"},
    "teacher": {"network": "resnet14", "width": 16},
    "student": {"network": "resnet8", "width": 16},
}


def arms(**target):
    plan = make_plan(resolve_config({**CONFIG, "target": {"latency": "2x", **target}}))
    return {run.arm for run in plan.runs.values()}


def candidate(form, ratio, pair="resnet8"):
    return {"pair": pair, "form": form, "ratio": ratio}


def test_without_candidates_nothing_is_pruned():
    assert arms() == {"teachers/resnet8", "students/resnet8.baseline"}


def test_candidates_are_pruned_evenly_and_recovered_beside_the_whole_student():
    found = arms(candidates=[candidate("float32", 2.14), candidate("int8", 1.5)])
    shape = "resnet8.baseline.uniform-by8"
    assert {arm for arm in found if arm.startswith("pruning/")} == {
        f"pruning/{shape}-1.5x",
        f"pruning/{shape}-2.14x",
    }
    assert {arm for arm in found if arm.startswith("recovery/")} == {
        "recovery/resnet8.baseline.dense.kd",
        f"recovery/{shape}-1.5x.kd",
        f"recovery/{shape}-2.14x.kd",
    }


def test_a_candidate_that_is_whole_is_the_dense_student():
    assert arms(candidates=[candidate("int8", 1)]) == {
        "teachers/resnet8",
        "students/resnet8.baseline",
        "recovery/resnet8.baseline.dense.kd",
    }


def test_the_reference_is_there_where_only_another_student_is_a_candidate():
    students = [CONFIG["student"], {"network": "vgg8", "width": 8}]
    for against, there in (("student", True), ("teacher", False)):
        target = {"macs": "2x", "against": against, "candidates": [candidate("int8", 2, "vgg8")]}
        config = resolve_config({**CONFIG, "student": students, "target": target})
        planned = {run.arm for run in make_plan(config).runs.values()}
        assert (config.target.whole("resnet8") in planned) == there
        assert "recovery/vgg8.baseline.uniform-by8-2x.kd" in planned


@pytest.mark.parametrize("ratio", [1, 1.5])
def test_the_arms_that_a_target_names_are_those_of_the_plan(ratio):
    chosen = candidate("int8", ratio)
    target = {"bytes": 1e6, "candidates": [chosen], "recover": ["kd", "ce"]}
    config = resolve_config({**CONFIG, "target": target})
    named = {arm for each in config.target.candidates for arm in config.target.arms(each)}
    planned = {run.arm for run in make_plan(config).runs.values()}
    assert named <= planned
    assert len(named) == (1 if ratio == 1 else 2)
    assert config.target.whole("resnet8") in planned


def test_a_factor_is_of_the_reference_and_a_number_is_itself():
    assert bound("2x", 3.0) == 1.5
    assert bound("1.25x", 5.0) == 4.0
    assert bound(0.7, 3.0) == 0.7


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({}, ["target: says nothing to reach", "latency"]),
        ({"latency": "2"}, ["target.latency: '2'", "factor, like 2x"]),
        ({"latency": "0x"}, ["target.latency: '0x'", "factor, like 2x"]),
        ({"bytes": 0}, ["target.bytes: 0", "choose a value within the limit"]),
        ({"bytes": True}, ["target.bytes"]),
        ({"macs": "2x", "los": 1}, ["target", "'los'", "'loss'?"]),
        ({"macs": "2x", "form": ["int8"]}, ["target", "'form'", "'forms'?"]),
        ({"macs": "2x", "forms": ["int4"]}, ["target.forms.0: 'int4'", "'int8'?"]),
        ({"macs": "2x", "against": "both"}, ["target.against: 'both'"]),
        ({"macs": "2x", "tuning_seeds": [1]}, ["target.tuning_seeds", "choose others"]),
        ({"macs": "2x", "candidates": [candidate("int8", 2, "resnet")]}, ["candidates.0.pair"]),
        ({"macs": "2x", "candidates": [candidate("int8", 0.5)]}, ["target.candidates.0.ratio"]),
        ({"macs": "2x", "candidates": [candidate("int8", 50)]}, ["target.candidates", "50 cannot"]),
    ],
)
def test_what_cannot_be_is_refused(target, said):
    with pytest.raises(UserError) as raised:
        resolve_config({**CONFIG, "target": target})
    assert all(words in str(raised.value) for words in said), raised.value


def test_what_ships_is_chosen_on_held_out_images():
    config = {**CONFIG, "data": {"source": "digits", "validation": 0}, "target": {"macs": "2x"}}
    with pytest.raises(UserError, match=r"data\.validation: 0.*hold some out"):
        resolve_config(config)
