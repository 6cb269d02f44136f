"""Two stages: regimes, remedies, arms at common rates, and what tells each from one stage."""

from dataclasses import replace
from typing import Any

import pytest
from plans import arm, plan, regime

from stagewise.study.planned import Plan, PlannedRun


@pytest.mark.parametrize("name", ["imagenet", "scratch"])
def test_a_regime_keeps_the_arms_but_those_of_the_source_and_target(name: str) -> None:
    gone = {"pretraining/resnet", "teachers/resnet.target", "students/resnet.large.target"}
    before, after = plan().runs, plan(regime(name)).runs
    assert {r.arm for r in before.values()} - {r.arm for r in after.values()} == gone
    assert {r.spec.data.task for r in after.values()} == {"all"}
    assert {r.labels["task"] for r in after.values()} == {"all"}
    known = {*after, *plan(regime(name)).weights()}
    for run in after.values():
        assert {*run.parents.values(), run.reference or run.path} <= known, run.path


def test_imagenet_weights_are_the_start_of_the_step_and_its_teachers() -> None:
    runs = plan(regime("imagenet")).runs.values()
    starts = {
        run.arm: run.parents["init"] for run in runs if run.spec.written().get("init") == "features"
    }
    student, teacher = (f"data/weights/resnet{n}-imagenet-64px" for n in (18, 34))
    assert starts == {
        "teachers/resnet": teacher,
        "students/resnet.pretrained": student,
        "two_stage/resnet.one-stage.kd": student,
        "two_stage/resnet.kd": student,
    }
    assert plan(regime("imagenet")).weights() == {
        teacher: "resnet34-imagenet",
        student: "resnet18-imagenet",
    }


def test_the_control_starts_from_new_weights() -> None:
    scratch = plan(regime("scratch"))
    assert scratch.weights() == {}
    run = arm("two_stage/resnet.kd", among=scratch)
    assert run.spec.init == "scratch"
    assert run.spec.recipe["recipe"] == "two_stage"
    assert run.parents == {"teacher": "runs/toy/teachers/resnet/seed-0"}


def test_stage_one_of_new_weights_gets_batch_norm_that_has_seen_images() -> None:
    def options(runs: Plan) -> Any:
        return arm("two_stage/resnet.kd", among=runs).spec.recipe

    assert options(plan(regime("scratch")))["estimate_first"] == 1
    assert "estimate_first" not in options(plan())  # features bring statistics of their own
    assert "estimate_first" not in options(plan(regime("imagenet")))


def test_one_and_two_stages_differ_in_the_recipe_alone() -> None:
    one, two = arm("two_stage/resnet.one-stage.kd"), arm("two_stage/resnet.kd")
    assert one.parents == two.parents
    assert one.spec.recipe == {"recipe": "one_stage"}
    assert replace(two.spec, recipe=one.spec.recipe) == one.spec


REMEDIES: dict[str, dict[str, Any]] = {
    "zero_head": {"classifier": "zero"},
    "linear_head": {"classifier": "linear"},
    "warm_up": {"training": {"warm_up": 0.1}},
    "clipped": {"training": {"clip": 1.0}},
    "slow_backbone": {"recipe": {"recipe": "discriminative"}},
    "still_batch_norm": {"recipe": {"recipe": "still_batch_norm"}},
    "two_stage_kd": {"recipe": {"recipe": "two_stage"}},
}


def remedied(raw: dict[str, Any]) -> None:
    raw["methods"] |= {label: {"method": "kd", **entry} for label, entry in REMEDIES.items()}
    raw["two_stage"] |= {"arms": [*REMEDIES], "common_rates": [0.3]}


def test_remedies_differ_from_one_stage_in_what_they_say_alone() -> None:
    found = plan(remedied)
    one = arm("two_stage/resnet.one-stage.kd", among=found)
    for label in REMEDIES:
        own = arm(f"two_stage/resnet.{label}", among=found)
        assert own.parents == one.parents
        plain = replace(own.spec.training, warm_up=0.0, clip=0.0)
        assert replace(own.spec, recipe=one.spec.recipe, training=plain, classifier="family") == (
            one.spec
        )
        assert own.spec != one.spec, label
        at_rate = arm(f"two_stage/resnet.{label}.lr-0.3", among=found)
        share = 0.1 if own.spec.recipe["recipe"] == "discriminative" else 1.0  # the features'
        assert at_rate.spec.training.lr * share == pytest.approx(0.3)
        training = replace(own.spec.training, lr=at_rate.spec.training.lr)
        assert at_rate.spec == replace(own.spec, training=training, divergence="ends")


def test_a_title_is_what_readers_see_and_no_setting() -> None:
    def change(raw: dict[str, Any]) -> None:
        remedied(raw)
        raw["methods"]["clipped"]["title"] = "KD, clipped gradients"

    before, after = plan(remedied), plan(change)
    for rate, more in (("", ""), (".lr-0.3", ", rate 0.3")):
        name = f"two_stage/resnet.clipped{rate}"
        own, called = arm(name, among=before), arm(name, among=after)
        assert own.labels["display"] == f"clipped{more}"
        assert called == replace(
            own, labels={**own.labels, "display": f"KD, clipped gradients{more}"}
        )


def test_two_stages_as_an_arm_of_their_own_are_those_of_the_block() -> None:
    found = plan(remedied)
    two = arm("two_stage/resnet.kd", among=found)
    assert arm("two_stage/resnet.two_stage_kd", among=found).spec == two.spec

    def tuned(raw: dict[str, Any]) -> None:
        remedied(raw)
        raw["methods"]["two_stage_kd"] = {
            "method": "kd",
            "recipe": {"recipe": "two_stage", "stage1_share": 0.3},
        }
        raw["stage1_rates"] = {"two_stage/resnet.two_stage_kd": 0.7}

    recipe = arm("two_stage/resnet.two_stage_kd", among=plan(tuned)).spec.recipe
    assert recipe == {"recipe": "two_stage", "stage1_lr": 0.7, "stage1_share": 0.3}


def test_arms_at_common_rates_differ_from_their_own_in_the_rate_and_may_diverge() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["two_stage"]["common_rates"] = [0.3, 0.04]

    before, after = plan().runs, plan(change).runs
    added = [run for path, run in after.items() if path not in before]
    assert before.keys() < after.keys()
    arms = {"students/resnet.pretrained", "two_stage/resnet.one-stage.kd", "two_stage/resnet.kd"}
    assert {run.arm for run in added} == {
        f"{arm}.lr-{rate}" for arm in arms for rate in (0.3, 0.04)
    }
    for run in added:
        arm, _, rate = run.arm.partition(".lr-")
        own = before[f"runs/toy/{arm}/seed-{run.seed}"]
        assert run.labels["common_rate"] == float(rate)
        assert own.spec.divergence == "fails"
        training = replace(own.spec.training, lr=float(rate))
        assert run.spec == replace(own.spec, training=training, divergence="ends")
        assert run.parents == own.parents


def test_shock_may_be_logged_at_common_rates_alone() -> None:
    """Nothing else of any run changes."""

    def planned(own: bool) -> dict[str, PlannedRun]:
        block = {"common_rates": [0.1], "probe_own_rates": own}
        return plan(lambda raw: raw["two_stage"].update(block)).runs

    every, fewer = planned(True), planned(False)
    changed = {path for path, run in fewer.items() if run != every[path]}
    arms = {every[path].arm for path in changed}
    assert arms >= {"students/resnet.pretrained", "two_stage/resnet.kd"}
    known = {run.arm for run in every.values()}
    assert arms == {arm for arm in known if f"{arm}.lr-0.1" in known}
    for path in changed:
        assert every[path].spec.observers == ("shock",)
        assert fewer[path] == replace(every[path], spec=replace(every[path].spec, observers=()))
