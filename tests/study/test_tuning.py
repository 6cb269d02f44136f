"""Rates and strengths: what a tuning study tries, and what the chosen ones touch."""

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from plans import RATES, arm, differing, edited, plan, regime

from stagewise import catalogue
from stagewise.errors import UserError


def test_a_tuned_rate_touches_its_own_arm_only() -> None:
    rates = {"two_stage/resnet.kd": 0.033}
    assert differing(edited("learning_rates", rates)) == {"two_stage/resnet.kd"}
    tuned = arm("two_stage/resnet.kd", among=plan(edited("learning_rates", rates)))
    assert tuned.spec.training.lr == 0.033


def test_a_pattern_gives_a_rate_to_the_arms_that_are_not_listed_themselves() -> None:
    rates = {"distillation/vgg.*": 0.011, "*": 0.044, "distillation/vgg.hot": 0.033}
    runs = plan(edited("learning_rates", rates)).runs.values()
    found = {run.arm: run.spec.training.lr for run in runs if run.step == "distillation"}
    assert found == {
        "distillation/vgg.kd": 0.011,
        "distillation/vgg.hot": 0.033,
        "distillation/resnet.kd": 0.044,
        "distillation/resnet.hot": 0.044,
    }
    with pytest.raises(UserError, match=r"learning_rates: 'distillation/vg\.\*' is no arm"):
        plan(edited("learning_rates", {"distillation/vg.*": 0.1}))


def test_an_unknown_arm_of_a_learning_rate_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"toy\.yaml: learning_rates.*'two_stage/resnet\.kd'\?"):
        plan(edited("learning_rates", {"two_stage/resnet.kdd": 0.1}))


def test_tuning_gives_every_arm_the_same_grid() -> None:
    tuned = plan(edited("tune", {"rates": RATES})).runs.values()
    variants = [run for run in tuned if "tuned_arm" in run.labels]
    grids = Counter((run.labels["tuned_arm"], run.seed) for run in variants)
    assert set(grids.values()) == {len(RATES)}
    expected = {
        run.arm
        for run in plan().runs.values()
        if run.step != "pruning" and run.labels.get("recovery") != "bn"
    }
    assert {name for name, _ in grids} == expected


def test_tuned_variants_differ_from_their_arm_in_the_rate_alone() -> None:
    plain = plan().runs
    for run in plan(edited("tune", {"rates": RATES})).runs.values():
        if "tuned_arm" in run.labels:
            original = plain[f"runs/toy/{run.labels['tuned_arm']}/seed-{run.seed}"]
            training = replace(original.spec.training, lr=run.labels["rate"])
            assert run.spec == replace(original.spec, training=training, divergence="ends")
            assert run.parents == original.parents


def test_arms_may_have_grids_of_their_own_alone() -> None:
    wider = {"distillation/vgg.kd": {"strengths": [0.3, 1.0]}}
    runs = plan(edited("tune", {"rates": [0.1], "wider": wider})).runs.values()
    tried = {
        (run.labels["tuned_arm"], run.labels["strength"])
        for run in runs
        if "tuned_arm" in run.labels
    }
    assert tried == {("distillation/vgg.kd", 0.3), ("distillation/vgg.kd", 1.0)}


def test_two_stages_are_tuned_with_every_rate_of_the_first() -> None:
    tune = {"rates": RATES, "stage1_rates": [0.1, 0.3]}
    arm = "two_stage/resnet.kd"
    wider = {arm: {"rates": [0.9], "stage1_rates": [0.7]}}
    runs = plan(edited("tune", {**tune, "wider": wider})).step("two_stage")
    variants = [run for run in runs if run.labels.get("tuned_arm") == arm and run.seed == 0]
    found = {(run.labels["rate"], run.labels["stage1_rate"]) for run in variants}
    assert found == set(product([*RATES, 0.9], [0.1, 0.3, 0.7]))
    assert len(variants) == len({run.path for run in variants}) == len(found)
    for run in variants:
        made = catalogue.recipe_options("two_stage") | run.spec.recipe
        assert made["stage1_lr"] == run.labels["stage1_rate"]
    one = "two_stage/resnet.one-stage.kd"
    single = [run for run in runs if run.labels.get("tuned_arm") == one]
    assert {run.labels["rate"] for run in single} == set(RATES)
    assert not any("stage1_rate" in run.labels for run in single)


STRENGTHS = [0.1, 1.0, 10.0]


def test_strengths_are_tried_with_every_rate_where_there_is_more_than_labels() -> None:
    wider = {"distillation/resnet.kd": {"strengths": [30.0]}}
    tuned = plan(edited("tune", {"rates": RATES, "strengths": STRENGTHS, "wider": wider})).runs
    variants = [run for run in tuned.values() if run.labels.get("tuned_arm") and run.seed == 0]
    grids: dict[str, set[tuple[float, float | None]]] = {}
    for run in variants:
        values = run.labels["rate"], run.labels.get("strength")
        grids.setdefault(run.labels["tuned_arm"], set()).add(values)
    assert grids["students/resnet.baseline"] == set(product(RATES, [None]))
    assert grids["multi_exit/resnet.ce"] == set(product(RATES, [None]))
    assert grids["distillation/vgg.kd"] == set(product(RATES, STRENGTHS))
    assert grids["distillation/resnet.kd"] == set(product(RATES, [*STRENGTHS, 30.0]))
    assert len(variants) == sum(map(len, grids.values()))
    for run in variants:
        if run.labels["tuned_arm"] == "distillation/vgg.kd":
            kept = catalogue.method_weights("kd") | run.spec.weights
            assert kept == {"ce": 0.1, "kd": pytest.approx(0.9 * run.labels["strength"])}


def test_an_arm_with_one_value_to_try_is_not_trained_again() -> None:
    wider = {"students/resnet.baseline": {"rates": [0.2]}}
    runs = plan(edited("tune", {"rates": [0.1], "strengths": STRENGTHS, "wider": wider})).runs
    tuned = {run.labels["tuned_arm"] for run in runs.values() if run.labels.get("tuned_arm")}
    assert "students/resnet.baseline" in tuned
    assert "distillation/vgg.kd" in tuned
    assert not tuned & {"students/vgg.baseline", "teachers/vgg", "multi_exit/resnet.ce"}


def test_a_tried_strength_takes_the_place_of_the_chosen_one() -> None:
    arm = "distillation/vgg.kd"

    def weights(*changes: tuple[str, Any]) -> list[dict[str, float]]:
        def change(raw: dict[str, Any]) -> None:
            raw["tune"] = {"rates": [0.1], "strengths": STRENGTHS}
            raw["strengths"] = dict(changes)

        runs = plan(change).step("distillation")
        return [run.spec.weights for run in runs if run.labels.get("tuned_arm") == arm]

    assert weights((arm, 7.0)) == weights()


def test_a_strength_touches_its_own_arm_only() -> None:
    arm = "distillation/vgg.kd"
    chosen = edited("strengths", {arm: 3.0})
    assert differing(chosen) == {arm}
    runs = [run for run in plan(chosen).runs.values() if run.arm == arm]
    assert [run.spec.weights for run in runs] == [{"kd": 2.7}] * 2


def test_an_arm_that_learns_from_labels_alone_has_no_strength() -> None:
    with pytest.raises(UserError, match=r"strengths: 'students/resnet\.baseline' is no arm"):
        plan(edited("strengths", {"students/resnet.baseline": 2.0}))


@pytest.mark.parametrize("key", ["learning_rates", "stage1_rates", "strengths", "tune"])
def test_rates_of_an_arm_that_is_not_there_are_refused(key: str) -> None:
    value: Any = {"students/resnet.basline": 0.1}
    if key == "tune":
        value = {"rates": RATES, "wider": {"students/resnet.basline": {"rates": [0.3]}}}
    with pytest.raises(UserError, match=r"'students/resnet\.basline' is no arm"):
        plan(edited(key, value))


def test_an_arm_of_one_stage_has_no_rate_of_a_first() -> None:
    with pytest.raises(UserError, match=r"stage1_rates: 'students/resnet\.baseline' is no arm"):
        plan(edited("stage1_rates", {"students/resnet.baseline": 0.1}))


def test_a_tuned_rate_of_stage_1_touches_its_own_arm_only() -> None:
    arm = "two_stage/resnet.kd"
    before, after = plan().runs, plan(edited("stage1_rates", {arm: 0.3})).runs
    changed = {run.arm for path, run in after.items() if run.spec != before[path].spec}
    assert changed == {arm}


def test_common_rates_are_not_tuned() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["two_stage"]["common_rates"] = [RATES[0]]
        raw["tune"] = {"rates": RATES}

    runs = plan(change).runs.values()
    assert not any("common_rate" in run.labels for run in runs)


def test_tuning_runs_what_the_arms_descend_from_and_no_more() -> None:
    runs = plan(edited("tune", {"rates": RATES})).runs
    assert "runs/toy/students/resnet.baseline/seed-0" in runs  # it is pruned
    assert "runs/toy/distillation/resnet.kd/seed-0" not in runs
    for run in runs.values():
        assert {*run.parents.values(), run.reference or run.path} <= runs.keys()


def test_a_tuning_study_may_start_from_imagenet_weights() -> None:
    def change(raw: dict[str, Any]) -> None:
        regime("imagenet")(raw)
        raw["tune"] = {"rates": RATES}

    tuned = plan(change)
    assert set(tuned.weights().values()) == {"resnet18-imagenet", "resnet34-imagenet"}
