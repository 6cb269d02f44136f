"""A plan: which runs there are, who descends from whom, and what each spec depends on."""

import copy
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import PruneSpec, TrainSpec
from stagewise.study.warnings import find_warnings

FULL: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1],
    "data": {
        "source": "digits",
        "source_classes": [0, 1, 2],
        "student_images_per_class": 10,
        "target_images_per_class": 5,
    },
    "pairs": {
        "resnet": {"teacher": {"network": "resnet14"}, "student": {"network": "resnet8"}},
        "vgg": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8", "width": 16}},
    },
    "methods": {"kd": {}, "hot": {"method": "kd", "temperature": 8.0}},
    "students": {"training": {"epochs": 30}},
    "distillation": {"pairs": ["resnet", "vgg"], "methods": ["kd", "hot"]},
    "two_stage": {"pairs": ["resnet"], "training": {"epochs": 20}},
    "multi_exit": {"pairs": ["resnet"]},
    "pruning": [
        {
            "pair": "resnet",
            "ratios": [2, 4],
            "recover": ["bn", "ce", "kd", "two_stage_kd", "scratch_kd"],
        },
        {
            "pair": "resnet",
            "chain": "two_stage",
            "criterion": "random",
            "ratios": [2],
            "recover": ["ce"],
        },
    ],
    "recovery": {"training": {"epochs": 10}},
}
COUNTS = {
    "teachers": 4,  # two on all classes, one on the target's, one with exits
    "students": 2 * (2 * 2 + 2),  # baseline and large for both pairs, one pretrained, one large
    "distillation": 2 * 2 * 2,
    "pretraining": 1,
    "two_stage": 2 * 2,  # two-stage and its one-stage twin
    "multi_exit": 2 * 3,
    "pruning": 2 * (2 + 1),
    "recovery": 2 * (5 + 5 + 1 + 2),  # and both dense students given the same extra epochs
}
Change = Callable[[dict[str, Any]], None]


def plan(change: Change | None = None) -> Plan:
    raw = copy.deepcopy(FULL)
    if change:
        change(raw)
    return make_plan(resolve_config(raw), "toy.yaml")


def arm(name: str, seed: int = 0, among: Plan | None = None) -> PlannedRun:
    return (among or plan()).runs[f"runs/toy/{name}/seed-{seed}"]


def edited(path: str, value: Any) -> Change:
    """A change of the configuration: the value under a dotted path is replaced."""

    def change(raw: dict[str, Any]) -> None:
        *keys, last = path.split(".")
        place: Any = raw
        for key in keys:
            place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
        place[int(last) if isinstance(place, list) else last] = value

    return change


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


IMAGENET = {
    "teacher": {"network": "resnet34-imagenet"},
    "student": {"network": "resnet18-imagenet"},
}


def regime(name: str) -> Change:
    """The full plan in another regime of paper A."""

    def change(raw: dict[str, Any]) -> None:
        raw["two_stage"]["regime"] = name
        raw["data"] = {"source": "cifar100", "image_size": 64, "student_images_per_class": 10}
        raw["pairs"]["resnet"] = IMAGENET

    return change


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


def differing(change: Change) -> set[str]:
    """Arms whose specs a change of the configuration touches; it may add or remove no run."""
    before, after = plan().runs, plan(change).runs
    assert before.keys() == after.keys()
    return {run.arm for path, run in after.items() if run.spec != before[path].spec}


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
    assert (run.labels["method"], run.labels["display"]) == ("ce_strong", "ce_strong")
    alone = arm("students/resnet.baseline")
    assert run.spec == replace(
        alone.spec, training=replace(alone.spec.training, cutmix=1.0, epochs=90)
    )
    assert run.reference == alone.reference


def test_a_tuned_rate_touches_its_own_arm_only() -> None:
    rates = {"two_stage/resnet.kd": 0.033}
    assert differing(edited("learning_rates", rates)) == {"two_stage/resnet.kd"}
    tuned = arm("two_stage/resnet.kd", among=plan(edited("learning_rates", rates)))
    assert tuned.spec.training.lr == 0.033


def test_a_method_may_be_for_some_pairs_alone() -> None:
    runs = plan(edited("methods.hot.pairs", ["vgg"])).runs.values()
    taught = {run.arm for run in runs if run.step == "distillation"}
    assert taught == {"distillation/resnet.kd", "distillation/vgg.kd", "distillation/vgg.hot"}


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


def test_an_unknown_arm_of_a_learning_rate_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"toy\.yaml: learning_rates.*'two_stage/resnet\.kd'\?"):
        plan(edited("learning_rates", {"two_stage/resnet.kdd": 0.1}))


def test_one_and_two_stages_differ_in_the_recipe_alone() -> None:
    one, two = arm("two_stage/resnet.one-stage.kd"), arm("two_stage/resnet.kd")
    assert one.parents == two.parents
    assert one.spec.recipe == {"recipe": "one_stage"}
    assert replace(two.spec, recipe=one.spec.recipe) == one.spec


REMEDIES: dict[str, dict[str, Any]] = {
    "zero_head": {"classifier": "zero"},
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
        assert at_rate.spec == replace(own.spec, training=replace(own.spec.training, lr=0.3))


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


def test_ways_of_recovery_differ_in_one_thing_each() -> None:
    """Loss, recipe, teacher, weights or budget, beside the arm that has the others."""
    ways = ["ce", "kd", "two_stage_ce", "two_stage_kd", "rewound_ce", "rewound_kd", "self_kd"]
    new = ["scratch_ce", "scratch_ce_macs", "scratch_kd"]
    found = plan(edited("pruning.0.recover", [*ways, *new]))
    runs = {name: arm(f"recovery/resnet.baseline.l2-4x.{name}", among=found) for name in ways + new}
    specs = {name: run.spec for name, run in runs.items()}
    teacher, dense = "runs/toy/teachers/resnet/seed-0", "runs/toy/students/resnet.baseline/seed-0"
    for label in ("ce", "kd"):
        same = {specs[name].method["method"] for name in runs if name.endswith(label)}
        assert same == {label}
        plain = specs[label]
        assert replace(specs[f"two_stage_{label}"], recipe=plain.recipe) == plain
        assert replace(specs[f"rewound_{label}"], recipe=plain.recipe) == plain
        assert specs[f"rewound_{label}"].recipe == {"recipe": "rewound", "of": 30}
    assert specs["self_kd"] == specs["kd"]
    assert (runs["kd"].parents["teacher"], runs["self_kd"].parents["teacher"]) == (teacher, dense)
    epochs = {name: spec.training.epochs for name, spec in specs.items()}
    assert {epochs.pop(name) for name in ways} == {10}
    assert epochs == {"scratch_ce": 30, "scratch_ce_macs": 4 * 30 + 10, "scratch_kd": 30 + 10}
    assert {specs[name].init for name in new} == {"shape"}


def test_the_dense_student_may_have_kd_from_its_start_on() -> None:
    """For the epochs of its own training and the extra ones, from the weights it began with."""

    def change(raw: dict[str, Any]) -> None:
        raw["recovery"] |= {"dense": ["kd", "kd_throughout"]}
        raw["pruning"].append({"pair": "resnet", "chain": "pretrained", "ratios": [2]})

    found = plan(change)
    for chain, begun in (
        ("baseline", "students/resnet.baseline"),
        ("pretrained", "students/resnet.pretrained"),
        ("two_stage", "two_stage/resnet.kd"),
    ):
        first = arm(begun, among=found)
        extra, whole = (
            arm(f"recovery/resnet.{chain}.dense.{name}", among=found)
            for name in ("kd", "kd_throughout")
        )
        assert (whole.spec.init, whole.parents.get("init")) == (
            first.spec.init,
            first.parents.get("init"),
        )
        assert extra.parents["init"] == first.path
        assert whole.parents["teacher"] == extra.parents["teacher"]
        assert whole.spec.method == extra.spec.method
        epochs = first.spec.training.epochs + extra.spec.training.epochs
        assert whole.spec.training.epochs == epochs


def test_a_chain_may_prune_the_student_of_standard_training() -> None:
    block = {"pair": "resnet", "chain": "pretrained", "ratios": [2], "recover": ["ce"]}
    found = plan(edited("pruning", [block]))
    pruned = arm("pruning/resnet.pretrained.l2-2x", 1, found)
    assert pruned.parents == {"init": "runs/toy/students/resnet.pretrained/seed-1"}
    assert pruned.labels["task"] == found.runs[pruned.parents["init"]].labels["task"] == "target"
    assert arm("recovery/resnet.pretrained.l2-2x.ce", 1, found).parents == {"init": pruned.path}


def test_families_are_the_same_arms_at_other_rates() -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["recovery"] |= {"families": {"low": {"lr": 0.003}}, "dense": ["ce", "kd"]}
        raw["learning_rates"] = {"recovery/resnet.baseline.l2-4x.kd": 0.3}

    found = plan(change)
    own = [run for run in found.step("recovery") if not run.arm.endswith(".low")]
    low = {run.arm for run in found.step("recovery")} - {run.arm for run in own}
    assert low == {f"{run.arm}.low" for run in own if run.labels["recovery"] != "bn"}
    assert all(run.labels.get("family") == "low" for run in found.runs.values() if run.arm in low)
    assert not any("family" in run.labels for run in own)
    assert {run.arm for run in own if ".dense." in run.arm} == {
        f"recovery/resnet.{chain}.dense.{label}"
        for chain in ("baseline", "two_stage")
        for label in ("ce", "kd")
    }
    usual = arm("recovery/resnet.baseline.l2-4x.kd", among=found)
    lower = arm("recovery/resnet.baseline.l2-4x.kd.low", among=found)
    assert usual.spec.training.lr == 0.3
    assert lower.spec == replace(usual.spec, training=replace(usual.spec.training, lr=0.003))


def test_recovery_arms_have_the_same_budget() -> None:
    epochs = {
        run.labels["recovery"]: run.spec.training.epochs
        for run in plan().step("recovery")
        if run.labels["chain"] == "baseline"
    }
    assert epochs.pop("scratch_kd") == 30 + 10
    assert set(epochs.values()) == {10}


def test_the_dense_student_is_given_the_same_extra_epochs_as_the_pruned_one() -> None:
    dense, pruned = (
        arm("recovery/resnet.baseline.dense.kd"),
        arm("recovery/resnet.baseline.l2-2x.kd"),
    )
    assert dense.spec == pruned.spec
    assert dense.parents["init"].endswith("students/resnet.baseline/seed-0")
    assert pruned.parents["init"].endswith("pruning/resnet.baseline.l2-2x/seed-0")


def test_recovery_goes_on_from_the_pruned_network_of_its_own_seed() -> None:
    runs = plan().runs
    for run in runs.values():
        if run.step in ("pruning", "recovery"):
            assert runs[run.parents["init"]].seed == run.seed


def test_pruning_as_usual_is_written_without_what_it_does_not_use() -> None:
    written = arm("pruning/resnet.baseline.l2-2x").spec.written()
    assert {*written} == {
        *("network", "seed", "data", "criterion", "ratio", "min_channels", "min_share"),
        *("tolerance", "threads"),
    }


def test_ways_of_pruning_have_names_and_specs_of_their_own() -> None:
    ways: dict[str, dict[str, Any]] = {
        "l1-one-shot-2x": {"criterion": "l1", "one_shot": True},
        "l1-by8-2x": {"criterion": "l1", "round_to": 8},
        "l1-kept-2x": {"criterion": "l1", "keep": ["stem*"]},
        "l1-2x": {"criterion": "l1"},
    }
    blocks = [{"pair": "resnet", "ratios": [2], "recover": ["kd"], **way} for way in ways.values()]
    among = plan(edited("pruning", blocks))
    for name, way in ways.items():
        run = arm(f"pruning/resnet.baseline.{name}", among=among)
        assert {k: v for k, v in run.spec.written().items() if k in way} == way
        assert run.labels["criterion"] == name.removesuffix("-2x")
        recovered = arm(f"recovery/resnet.baseline.{name}.kd", among=among)
        assert recovered.parents["init"] == run.path


def test_group_sparse_learning_comes_before_its_pruning_once() -> None:
    block = {"pair": "resnet", "criterion": "group_sl", "ratios": [2, 4], "recover": ["kd"]}
    among = plan(edited("pruning", [block, {**block, "ratios": [3]}]))
    sparse = arm("recovery/resnet.baseline.dense.group_sl", 1, among)
    assert sparse.parents == {"init": "runs/toy/students/resnet.baseline/seed-1"}
    assert isinstance(sparse.spec, TrainSpec)
    assert sparse.spec.recipe == {"recipe": "group_sl"}
    assert (sparse.spec.training.epochs, sparse.spec.training.weight_decay) == (10, 0.0)
    for ratio in (2, 3, 4):
        pruned = arm(f"pruning/resnet.baseline.group_sl-{ratio}x", 1, among)
        assert pruned.parents == {"init": sparse.path}
    paths = list(among.runs)
    assert paths.index(sparse.path) < paths.index(pruned.path)


RATES = [0.1, 0.02, 0.5]


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


# -- what a seed replicates, and arms at common rates ----------------------------------------


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


def test_arms_at_common_rates_differ_from_their_own_in_the_rate_alone() -> None:
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
        assert run.spec == replace(own.spec, training=replace(own.spec.training, lr=float(rate)))
        assert run.parents == own.parents


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


def test_a_second_network_has_the_rate_of_the_first() -> None:
    def change(raw: dict[str, Any]) -> None:
        with_controls(raw)
        raw["learning_rates"] = {"distillation/resnet.kd": 0.3}
        raw["claims_tested"] = ["B1b"]

    study = plan(change)
    assert arm("multi_exit/resnet.kd_twice", among=study).spec.training.lr == 0.3
    assert arm("multi_exit/resnet.kd_wide", among=study).spec.training.lr != 0.3
    told = [line for line in find_warnings(study) if "alone; tune" in line]
    assert len(told) == 2, "MSKD was not tuned, and KD was, once and twice"

    def tuned(raw: dict[str, Any]) -> None:
        change(raw)
        raw["tune"] = {"rates": [0.1, 0.2]}

    arms = {run.arm for run in plan(tuned).runs.values()}
    assert "multi_exit/resnet.kd_wide.lr-0.1" in arms
    assert not any("kd_twice" in name for name in arms)
