"""The studies that are ready to run: each plans, and finds what it is judged by."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from snakemake.utils import update_config

from stagewise import catalogue
from stagewise.analysis.figures.captions import caption
from stagewise.analysis.tables.published import method_identity
from stagewise.errors import UserError
from stagewise.papers.published_values import load_published_values
from stagewise.study.config import load_config, load_yaml, resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan
from stagewise.study.warnings import find_warnings

CONFIGS = Path(__file__).resolve().parents[2] / "config"
STUDIES = sorted(
    path for path in CONFIGS.glob("*.yaml") if {"pairs", "teacher"} & set(load_yaml(path))
)
"""All but those that are laid over another one."""

COUNTS: dict[str, dict[str, int]] = {
    "two-stage": {
        "teachers": 6 * 2 * 4,  # on all classes, on the target's
        "pretraining": 6 * 4,
        "students": 6 * 5 * 4,  # alone, the teacher's network on the few, pretrained at three rates
        "distillation": 6 * 4,
        "two_stage": 6 * ((2 + 8) * 4 + 2 * 2) * 3,  # two arms of VGGs
        "pruning": 6 * (6 + 6 + 2 + 3 + 3 + 8 + 3 + 3 + 2 + 2),
        # Twice for each family of rates, but batch norm alone, rewound rates and group_sl's own
        # training; dense students of seven chains by three ways.
        "recovery": 6
        * (
            (6 * 9 + 6 * 3 + 2 * 2 + 3 * 4 + 3 * 3 + 8 * 3 + 3 * 3 + 3 + 2 * 3 + 2 + 7 * 3) * 2
            + (6 * 3 + 6 + 3 + 1)
        ),
    },
    "two-stage-imagenet": {"teachers": 3, "students": 6 * 4 * 3, "two_stage": 6 * (2 + 8) * 3 * 3},
    "two-stage-scratch": {"teachers": 4, "students": 6 * 2 * 4, "two_stage": 6 * (2 + 7) * 4},
    "mskd-cifar100": {
        "teachers": 7 * 7,  # alone, with exits of three kinds, and parts for FT, SSKD and HSAKD
        "students": 6 * 7,
        "distillation": 6 * (15 * 7 + 4 + 1),  # with KD on VGG8, with AutoAugment
        # methods, controls; schedules, heads and AutoAugment on one pair
        "multi_exit": 6 * ((10 + 2) * 7 + 13 + 2),
    },
    "mskd-tiny-imagenet": {
        "teachers": 2 * 4,  # alone, with exits of three kinds
        "students": 6 * 2,
        "distillation": 6 * 10 * 2,
        "multi_exit": 6 * ((10 + 2) * 2 + 12),  # schedules and heads on one pair
    },
    "crd-benchmark": {
        "teachers": 4 * 13,
        "students": 3 * 13,
        # 20 methods on all pairs; DKD and DKD+LS on twelve, ReviewKD on nine, FSP on six; with KD
        "distillation": 3 * (20 * 13 + 2 * 12 + 9 + 6 + 11 + 7 + 6 * 6),
    },
    "crd-one-row": {"teachers": 1, "students": 3, "distillation": 3 * 11},
    "ship": {"teachers": 1, "students": 6},  # candidates come of its search
    "digits-methods": {"teachers": 6 * 4, "students": 6 * 2, "distillation": 6 * 24},
    "digits-two-stage": {
        "teachers": 6 * 2,  # on all classes, on the target's
        "pretraining": 6,
        "students": 6 * (3 + 2),  # alone, the teacher's network on the few; pretrained, two rates
        "two_stage": 6 * (2 + 8) * 2,
    },
    "cifar100-cpu-two-stage": {
        "teachers": 6 * 2,
        "pretraining": 6,
        "students": 6 * (3 + 2),
        "two_stage": 6 * (2 + 8 + 2) * 2,
        "pruning": 6 * (2 + 1 + 2 + 1 + 2 + 2),
        # twelve ways, nine of which have two rates; dense students of three chains by three ways
        "recovery": 6 * (2 * (12 + 9) + 4 * 2 + 2 * 2 * 2 + 3 * 2 + 2 * 4 * 2 + 2 * 2 + 3 * 3 * 2),
    },
    "digits-multi-exit": {
        "teachers": 6 * 2,
        "students": 6 * 2,
        "distillation": 6 * 2,
        "multi_exit": 6 * (6 + 2),
    },
    "cifar100-cpu-table": {
        "teachers": 6 * 5,
        "students": 6 * 2,
        "distillation": 6 * 28,
        "multi_exit": 6 * (12 + 2),
    },
    "function-matching": {"teachers": 2, "students": 6 * 2, "distillation": 6 * 7 * 2},
}
LAID_OVER = {
    "bf16": "../config",
    "digits-tune": "../config",
    "digits-methods-tune": "digits-methods",
    "digits-two-stage-tune": "digits-two-stage",
    "cifar100-cpu-two-stage-tune": "cifar100-cpu-two-stage",
    "two-stage-tune": "two-stage",
    "two-stage-imagenet-tune": "two-stage-imagenet",
    "two-stage-scratch-tune": "two-stage-scratch",
    "digits-multi-exit-tune": "digits-multi-exit",
    "cifar100-cpu-table-tune": "cifar100-cpu-table",
    "crd-10-epochs": "crd-benchmark",
    "crd-10-epochs-cosine": "crd-benchmark",
}
"""The others, and the study that each is laid over."""
OUT_OF_REACH = {
    "mlkd_ls": "MLKD with standardised logits, which is in no file of methods/",
    "hsakd_star": "its teacher is trained with its rotation heads from scratch: no key has it so",
    "kd_dot": "KD with the optimiser of DOT, which is not here",
}
"""Published methods that no configuration gives, and why."""


def plan(name: str) -> Plan:
    return make_plan(load_config(CONFIGS / f"{name}.yaml"), name)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_plans_and_has_its_files_name(path: Path) -> None:
    assert plan(path.stem).config.study == path.stem
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("name", COUNTS)
def test_it_has_these_runs(name: str) -> None:
    assert Counter(run.step for run in plan(name).runs.values()) == COUNTS[name]


def test_all_configs_are_known() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} - LAID_OVER.keys() == {
        path.stem for path in STUDIES
    }


@pytest.mark.parametrize("name", LAID_OVER)
def test_what_is_laid_over_a_study_plans_under_a_name_of_its_own(name: str) -> None:
    base = load_yaml(CONFIGS / f"{LAID_OVER[name]}.yaml")
    under = base["study"]
    update_config(base, load_yaml(CONFIGS / f"{name}.yaml"))
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert f"config/{name}.yaml" in text.partition("\nstudy:")[0], "says how it is run"
    found = make_plan(resolve_config(base), name)
    assert found.config.study != under
    assert found.runs


def test_nobody_is_warned_for_nothing() -> None:
    warned = {name: find_warnings(plan(name)) for name in COUNTS}
    for name in ("crd-benchmark", "crd-one-row"):  # three seeds, as the benchmark
        assert [line.partition(":")[0] for line in warned.pop(name)] == ["seeds"]
    assert not any(warned.values()), warned


def test_the_benchmark_is_trained_as_published() -> None:
    study = plan("crd-benchmark")
    assert study.config.data.validation == 0, "on all 50,000 images"
    slow = ("mobilenetv2-crd", "shufflenetv1-crd", "shufflenetv2-crd")
    recipe = {"epochs": 240, "batch_size": 64, "momentum": 0.9, "weight_decay": 5e-4}
    recipe |= {"schedule": "steps", "crop": 4, "flip": True, "rotation": 0, "auto_augment": False}
    for run in study.runs.values():
        settings = vars(run.spec.training)
        own = dict(study.config.method(run.labels["method"]).training)  # as its paper has it
        usual = own.pop("lr", 0.05)
        own["milestones"] = tuple(own.get("milestones", ()))
        assert (recipe | own).items() <= settings.items(), run.path
        slowly = run.spec.network["network"] in slow
        if run.name.endswith(".paraphraser"):
            slowly = "-resnet" in run.name or "-wrn" in run.name
        assert settings["lr"] == (0.01 if slowly else usual), run.path


def test_the_one_row_is_a_row_of_the_benchmark() -> None:
    whole = {run.arm: run.spec for run in plan("crd-benchmark").runs.values()}
    for run in plan("crd-one-row").runs.values():
        for key in ("network", "training", "weights"):
            assert getattr(run.spec, key) == getattr(whole[run.arm], key), run.arm


def test_tiny_imagenet_is_turned_and_never_cropped() -> None:
    for run in plan("mskd-tiny-imagenet").runs.values():
        settings = run.spec.training
        assert (settings.rotation, settings.flip, settings.crop) == (20, True, 0), run.path


def test_only_the_stars_are_auto_augmented() -> None:
    for run in plan("mskd-cifar100").runs.values():
        assert run.spec.training.auto_augment == run.name.endswith("_star"), run.path


def test_functions_are_matched_patiently_on_mixed_images_without_labels() -> None:
    """And the controls have all but the teacher, or all but the recipe."""
    study = plan("function-matching")
    arms = {run.name: run for run in study.runs.values()}
    for pair in study.config.pairs:
        matched, short = arms[f"{pair}.function_matching"], arms[f"{pair}.function_matching_short"]
        assert matched.spec.weights == {"ce": 0.0, "kd": 1.0}
        assert matched.spec.training.mixup == 1
        assert replace(short.spec, training=matched.spec.training) == matched.spec
        alone = arms[f"{pair}.baseline"].spec
        assert short.spec.training == replace(alone.training, mixup=1.0)
        for how in ("long", "strong"):
            taught, untaught = arms[f"{pair}.kd_{how}"], arms[f"{pair}.ce_{how}"]
            assert taught.spec.training == untaught.spec.training
            assert taught.spec.training.epochs == matched.spec.training.epochs
            assert replace(untaught.spec, training=alone.training) == alone
            assert (len(taught.parents), len(untaught.parents)) == (1, 0)


@pytest.mark.parametrize("name", ["mskd-cifar100", "mskd-tiny-imagenet", "crd-benchmark"])
def test_every_published_value_of_a_pair_has_its_arm(name: str) -> None:
    """Of the studies' own tables: those of paper B, and of single networks on the benchmark. A
    value that may or may not include KD has an arm of either."""
    study, references = plan(name), load_published_values()
    config, methods = study.config.as_dict(), set(references["method"])
    if name == "crd-benchmark":
        references = references[references["exit"] == "final"]
    else:
        references = references[references["source"].str.startswith("MSKD paper")]
    known = dict(iter(references.groupby(["dataset", "teacher", "student"])))
    for pair, roles in study.config.pairs.items():
        arms = set()
        for run in study.runs.values():
            if run.labels.get("pair") == pair and run.labels["network"] == "student":
                row = {**run.labels, "loss": (loss := run.spec.method["method"]), "exit": ""}
                weights = {**catalogue.method_weights(loss), **run.spec.weights}
                row["kd_weight"] = weights.get("kd", 0)
                found = method_identity(pd.Series(row), config, methods)
                arms |= {(found["method"], found["plus_kd"])} if found else set()
        values = known[study.config.data.source, roles.teacher.network, roles.student.network]
        assert values["method"].nunique() > 3, pair
        for method, plus_kd in zip(values["method"], values["plus_kd"], strict=True):
            ways = {(method, each) for each in ((False, True) if plus_kd is None else (plus_kd,))}
            assert bool(ways & arms) != (method in OUT_OF_REACH), (pair, ways)


def test_what_is_out_of_reach_is_so() -> None:
    assert not OUT_OF_REACH.keys() & catalogue.methods()
    config = load_yaml(CONFIGS / "crd-benchmark.yaml")
    config["methods"]["hsakd"] = {"teacher_exits": "joint"}
    with pytest.raises(UserError, match="'hsakd' learns from no teacher's exits"):
        resolve_config(config)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("two-stage", "the target classes"),
        ("two-stage-imagenet", "all classes"),
        ("two-stage-scratch", "all classes"),
    ],
)
def test_the_figure_of_gradient_shock_names_the_classes(name: str, classes: str) -> None:
    text = caption("shock", plan(name).config.as_dict())
    assert text.startswith(f"Gradient shock on {classes}, means of 6 seeds;")
