"""Networks with exits: where these stand, who teaches, and controls without exits."""

from dataclasses import replace
from typing import Any

import pytest
from plans import arm, plan

from stagewise.study.spec import TrainSpec
from stagewise.study.warnings import find_warnings


def test_exits_stand_in_their_places_and_a_method_may_have_others() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["multi_exit"] |= {"places": [1], "head": "sep", "methods": ["oto", "few", "cheap"]}
        raw["methods"]["few"] = {"method": "mskd", "exits": {"places": [2]}}
        raw["methods"]["cheap"] = {"method": "mskd", "exits": {"head": "linear"}}

    found = plan(change)
    for name, head, places in (
        ("multi_exit/resnet.oto", "sep", (1,)),
        ("multi_exit/resnet.few", "sep", (2,)),
        ("multi_exit/resnet.cheap", "linear", (1,)),
        ("teachers/resnet.exits", "sep", (1,)),
    ):
        spec = arm(name, among=found).spec
        assert isinstance(spec, TrainSpec)
        assert (spec.exits, spec.exit_places) == (head, places)
        assert spec.written()["exit_places"] == [*places]
    usual = arm("multi_exit/resnet.mskd").spec
    assert "exit_places" not in usual.written()


def test_oto_learns_from_the_teacher_with_exits() -> None:
    assert arm("multi_exit/resnet.oto").parents["teacher"].endswith("teachers/resnet.exits/seed-0")
    assert arm("multi_exit/resnet.mskd").parents["teacher"].endswith("teachers/resnet/seed-0")


def with_controls(raw: dict[str, Any]) -> None:
    raw["multi_exit"]["controls"] = ["wide", "twice"]
    raw["pairs"]["resnet"]["wide"] = {"network": "resnet8", "width": 17}


def test_controls_of_exits_are_kd_by_other_means() -> None:
    study = plan(with_controls)
    kd = arm("distillation/resnet.kd", among=study)
    wide = arm("multi_exit/resnet.kd_wide", among=study)
    assert wide.spec == replace(kd.spec, network={"network": "resnet8", "width": 17})
    assert (wide.parents, wide.reference, wide.partner) == (kd.parents, kd.reference, "")
    twice = arm("multi_exit/resnet.kd_twice", among=study)
    assert twice.spec == replace(kd.spec, seed=twice.spec.seed)
    assert (twice.parents, twice.seed, twice.partner) == (kd.parents, kd.seed, kd.path)
    before = {path: run.spec for path, run in plan().runs.items()}
    assert before.items() <= {path: run.spec for path, run in study.runs.items()}.items()


@pytest.mark.parametrize("replicates", ["students", "chains"])
def test_two_networks_of_an_ensemble_share_no_seed_with_any_run(replicates: str) -> None:
    def change(raw: dict[str, Any]) -> None:
        with_controls(raw)
        raw |= {"replicates": replicates, "seeds": [0, 1, 2**32 - 1]}

    study = plan(change)
    second = [run for run in study.runs.values() if run.partner]
    assert len(second) == 3
    others = {run.spec.seed for run in study.runs.values() if not run.partner}
    assert len({run.spec.seed for run in second} | others) == 3 + len(others)
    for run in second:
        first = study.runs[run.partner]
        assert (run.spec.data, run.parents) == (first.spec.data, first.parents)
        assert run.seed == first.seed


def test_a_second_network_has_the_rate_and_the_loss_weights_of_the_first() -> None:
    def change(raw: dict[str, Any]) -> None:
        with_controls(raw)
        raw["learning_rates"] = {"distillation/resnet.kd": 0.3}
        raw["strengths"] = {"distillation/resnet.kd": 3.0}
        raw["claims_tested"] = ["B1b"]

    study = plan(change)
    first, second = (
        arm(name, among=study).spec
        for name in ("distillation/resnet.kd", "multi_exit/resnet.kd_twice")
    )
    assert second == replace(first, seed=second.seed)
    assert (second.training.lr, second.weights) == (0.3, {"kd": 2.7})
    assert arm("multi_exit/resnet.kd_wide", among=study).spec.training.lr != 0.3
    told = [line for line in find_warnings(study) if "alone; tune" in line]
    assert len(told) == 2, "MSKD was not tuned, and KD was, once and twice"

    def tuned(raw: dict[str, Any]) -> None:
        change(raw)
        raw["tune"] = {"rates": [0.1, 0.2]}

    arms = {run.arm for run in plan(tuned).runs.values()}
    assert "multi_exit/resnet.kd_wide.lr-0.1" in arms
    assert not any("kd_twice" in name for name in arms)
