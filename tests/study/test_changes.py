"""What a change of the configuration touches: the runs that it adds, the specs that it alters."""

import json
from dataclasses import replace
from typing import Any

import pytest
from plans import COUNTS, Change, arm, differing, edited, plan

from stagewise.study.spec import TrainSpec

ADDITIONS: dict[str, tuple[Change, int]] = {
    "a seed": (edited("seeds", [0, 1, 2]), sum(COUNTS.values()) // 2 - 2),
    "a ratio": (edited("pruning.0.ratios", [2, 3, 4]), 2 * (1 + 5)),
    "a method": (edited("distillation.methods", ["kd", "hot", "ce"]), 2 * 2),
    "a pair": (edited("two_stage.pairs", ["resnet", "vgg"]), 2 * 4 + 2),
    "a recovery": (edited("pruning.1.recover", ["ce", "kd"]), 2),
    "a criterion": (edited("pruning.1.criterion", "l2"), 2 * 2),
}


@pytest.mark.parametrize("addition", list(ADDITIONS)[:5])
def test_adding_only_adds_runs(addition: str) -> None:
    change, more = ADDITIONS[addition]
    before, after = plan().runs, plan(change).runs
    assert {path: after[path] for path in before} == before
    if addition != "a seed":
        assert len(after) - len(before) == more


def test_a_seed_adds_each_arm_once() -> None:
    after = plan(ADDITIONS["a seed"][0]).runs.values()
    swept = {run.arm for run in after if run.seed == 1}
    assert {run.arm for run in after if run.seed == 2} == swept
    assert len(after) == len(plan().runs) + len(swept)


def test_a_temperature_touches_its_own_method_only() -> None:
    touched = differing(edited("methods.hot.temperature", 9.0))
    assert touched == {"distillation/resnet.hot", "distillation/vgg.hot"}


def test_what_a_method_sees_touches_its_own_arms_only() -> None:
    seen = {"method": "oto", "training": {"auto_augment": True}}

    def change(raw: dict[str, Any]) -> None:
        raw["methods"]["oto_star"] = seen
        raw["multi_exit"]["methods"] = ["exits_ce", "mskd", "oto", "oto_star"]

    runs = plan(change).runs
    star, plain = (
        arm(f"multi_exit/resnet.{name}", among=plan(change)) for name in ("oto_star", "oto")
    )
    training = replace(plain.spec.training, auto_augment=True)
    assert star.spec == replace(plain.spec, training=training)
    assert star.parents == plain.parents
    assert {path: runs[path] for path in plan().runs} == plan().runs
    assert differing(edited("methods.hot.training", {"crop": 2})) == {
        "distillation/resnet.hot",
        "distillation/vgg.hot",
    }


def test_every_key_of_training_can_be_a_methods_own() -> None:
    """All of them, each another value than the study's, reach the arms of the one label."""
    own = {
        "epochs": 480,
        "batch_size": 32,
        "lr": 0.025,
        "momentum": 0.8,
        "nesterov": True,
        "weight_decay": 0.0001,
        "schedule": "steps",
        "milestones": [150, 180, 0.5],
        "warm_up": 0.1,
        "clip": 1.0,
        "crop": 2,
        "flip": False,
        "rotation": 5,
        "auto_augment": True,
        "mixup": 0.2,
        "cutmix": 1,
        "evaluate_every": 3,
        "threads": 2,
        "dtype": "bfloat16",
    }
    usual = arm("distillation/resnet.hot").spec.training
    assert own.keys() == vars(usual).keys()
    assert all(own[name] != value for name, value in vars(usual).items())
    change = edited("methods.hot.training", own)
    assert differing(change) == {"distillation/resnet.hot", "distillation/vgg.hot"}
    spec = arm("distillation/resnet.hot", among=plan(change)).spec
    assert spec.training == replace(usual, **own | {"milestones": (150, 180, 0.5)})
    assert TrainSpec.read(json.loads(json.dumps(spec.written()))) == spec


def test_milestones_fit_what_a_block_is_laid_over() -> None:
    """A method's milestones and its step's schedule; those of a part, its teacher's."""

    def change(raw: dict[str, Any]) -> None:
        raw["students"]["training"] |= {"schedule": "steps"}
        raw["teachers"] = {"training": {"schedule": "steps", "epochs": 40}}
        raw["methods"]["hot"]["training"] = {"milestones": [10, 20]}
        raw["methods"]["exits_ce"] = {"training": {"milestones": [5, 0.5]}}
        raw["multi_exit"]["methods"] = ["oto"]

    found = plan(change)
    assert arm("distillation/vgg.hot", among=found).spec.training.milestones == (10, 20)
    part = arm("teachers/resnet.exits", among=found).spec.training
    assert (part.milestones, part.epochs, part.schedule) == ((5, 0.5), 40, "steps")


def test_a_label_of_plain_training_has_no_teacher() -> None:
    """A strong recipe without a teacher, as a control of distillation."""

    def change(raw: dict[str, Any]) -> None:
        raw["methods"]["ce_strong"] = {"method": "ce", "training": {"cutmix": 1.0, "epochs": 90}}
        raw["distillation"]["methods"] = ["kd", "ce_strong"]

    run = arm("distillation/resnet.ce_strong", among=plan(change))
    assert run.parents == {}
    assert (run.labels["method"], run.labels["display"]) == ("ce_strong", "CE, strong")
    alone = arm("students/resnet.baseline")
    assert run.spec == replace(
        alone.spec, training=replace(alone.spec.training, cutmix=1.0, epochs=90)
    )
    assert run.reference == alone.reference


def test_a_method_may_be_for_some_pairs_alone() -> None:
    runs = plan(edited("methods.hot.pairs", ["vgg"])).runs.values()
    taught = {run.arm for run in runs if run.step == "distillation"}
    assert taught == {"distillation/resnet.kd", "distillation/vgg.kd", "distillation/vgg.hot"}


def test_a_width_touches_its_own_pair_only() -> None:
    touched = differing(edited("pairs.vgg.student.width", 24))
    assert touched == {"students/vgg.baseline", "distillation/vgg.kd", "distillation/vgg.hot"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("title", "another"),
        ("claims_tested", ["A4"]),
        ("evaluation.ece_bins", 10),
        ("gate.points", 1),
        ("figures.dpi", 99),
        ("data.student_images_per_class", 5),
    ],
)
def test_what_no_run_uses_touches_no_spec(path: str, value: Any) -> None:
    assert differing(edited(path, value)) == set()
