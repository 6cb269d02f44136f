"""Chains of techniques: their members, their fronts, and what their training took."""

from dataclasses import replace

import pandas as pd
import pytest

from stagewise.analysis.claims.chains import Chained, chained, efforts, links, techniques
from stagewise.analysis.claims.results import Results


def groups(results: Results) -> dict[str, Chained]:
    return {group.task: group for group in chained(results)}


def test_members_are_the_links_alone_and_together(hybrid: Results) -> None:
    """Each recovery at its better rates, no other method, and of each task its own."""
    arms = {task: {*group.rows["arm"]} for task, group in groups(hybrid).items()}
    found = {task: {arm.removesuffix(".low") for arm in names} for task, names in arms.items()}
    validated = hybrid.main.groupby("arm")["validation_accuracy"].mean()
    for task, names in arms.items():
        assert len(names) == len(found[task]), "no recovery stands twice"
        for arm in names:
            rates = {arm.removesuffix(".low"), arm.removesuffix(".low") + ".low"} & {
                *validated.index
            }
            assert validated[arm] == validated[sorted(rates)].max()
    pruned = {f"l2-2x.{name}" for name in ("ce", "kd", "scratch_ce")}
    dense = {f"dense.{name}" for name in ("ce", "kd", "kd_throughout")}
    assert found["all"] == {
        *("teachers/resnet", "students/resnet.baseline", "distillation/resnet.kd"),
        *(f"recovery/resnet.baseline.{name}" for name in pruned | dense),
        *(f"recovery/resnet.baseline.l2-4x.{name}" for name in ("ce", "kd", "scratch_ce")),
    }
    assert found["target"] == {
        *("teachers/resnet.target", "students/resnet.pretrained"),
        *("two_stage/resnet.kd", "two_stage/resnet.one-stage.kd"),
        *(f"recovery/resnet.pretrained.{name}" for name in pruned | dense),
        *(f"recovery/resnet.two_stage.{name}" for name in pruned | dense),
        "recovery/resnet.two_stage.l2-2x.two_stage_kd",
    }


@pytest.mark.parametrize(
    ("arm", "made", "had"),
    [
        ("teachers/resnet", "teacher", "none"),
        ("students/resnet.baseline", "student alone", "none"),
        ("distillation/resnet.kd", "KD", "distillation"),
        ("two_stage/resnet.kd", "two-stage KD", "two stages"),
        ("recovery/resnet.baseline.l2-4x.ce", "student alone → l2 4× → CE", "pruning"),
        (
            "recovery/resnet.baseline.l2-4x.kd",
            "student alone → l2 4× → KD",
            "distillation and pruning",
        ),
        (
            "recovery/resnet.two_stage.l2-2x.ce",
            "two-stage student → l2 2× → CE",
            "two stages and pruning",
        ),
        (
            "recovery/resnet.pretrained.dense.kd_throughout",
            "standard training → KD in all epochs",
            "distillation",
        ),
    ],
)
def test_a_network_tells_what_made_it(hybrid: Results, arm: str, made: str, had: str) -> None:
    run = hybrid.main[hybrid.main["arm"] == arm].iloc[0]
    assert (links(run), techniques(run)) == (made, had)


def test_training_is_counted_from_new_weights_on(hybrid: Results) -> None:
    """Each run 100 epochs and 1,010 multiply-adds here; pruning none, and new weights their own."""
    took = efforts(hybrid, hybrid.main["path"])
    links_of = {
        "students/resnet.baseline": 1,
        "recovery/resnet.baseline.l2-2x.kd": 2,
        "recovery/resnet.baseline.l2-2x.scratch_ce": 1,
        "two_stage/resnet.kd": 2,  # pretraining
        "recovery/resnet.two_stage.l2-2x.kd": 3,
        "recovery/resnet.two_stage.dense.kd": 3,
        "recovery/resnet.two_stage.dense.kd_throughout": 2,
    }
    for arm, count in links_of.items():
        found = took[f"runs/toy/{arm}/seed-1"]
        assert (found.epochs, found.macs) == (100 * count, 1010 * count), arm
    older = replace(hybrid, summary=hybrid.summary.assign(training_macs=float("nan")))
    first = "runs/toy/students/resnet.baseline/seed-0"
    lacking = efforts(older, [first])[first]
    assert lacking.epochs == 100
    assert lacking.macs != lacking.macs


def made(accuracies: dict[str, list[float]], costs: dict[str, float]) -> Chained:
    rows = [
        {"arm": arm, "seed": seed, "test_accuracy": value, "macs": costs[arm]}
        for arm, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    return Chained("p", "all", pd.DataFrame(rows))


def test_a_front_is_of_the_means_and_of_every_seed() -> None:
    accuracies = {
        "cheap": [80.0, 80.0, 80.0],
        "worse": [79.0, 81.0, 70.0],
        "best": [90.0, 88.0, 92.0],
        "dear": [89.0, 89.0, 89.0],
        "teacher": [91.0],  # one serves all seeds
    }
    costs = {"cheap": 1.0, "worse": 2.0, "best": 3.0, "dear": 4.0, "teacher": 9.0}
    front = made(accuracies, costs).front("macs")
    assert front.arms == ["cheap", "best", "teacher"]
    assert front.seeds == {"cheap": 3, "worse": 1, "best": 3, "dear": 1, "teacher": 2}
    assert front.n == 3


def test_what_was_not_measured_has_no_front() -> None:
    group = made({"a": [80.0], "b": [90.0]}, {"a": float("nan"), "b": 2.0})
    assert group.front("macs").arms == ["b"]
    assert group.costs("macs") == {"b": 2.0}
    nothing = made({"a": [80.0]}, {"a": float("nan")}).front("macs")
    assert (nothing.arms, nothing.seeds) == ([], {})
