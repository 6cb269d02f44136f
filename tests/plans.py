"""A toy study with every step, its plan, and plans of the study changed."""

import copy
from collections.abc import Callable
from typing import Any

from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan, PlannedRun

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
    """The plan of the study, or of one that is changed."""
    raw = copy.deepcopy(FULL)
    if change:
        change(raw)
    return make_plan(resolve_config(raw), "toy.yaml")


def arm(name: str, seed: int = 0, among: Plan | None = None) -> PlannedRun:
    """A run of a plan."""
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


def differing(change: Change) -> set[str]:
    """Arms whose specs a change of the configuration touches; it may add or remove no run."""
    before, after = plan().runs, plan(change).runs
    assert before.keys() == after.keys()
    return {run.arm for path, run in after.items() if run.spec != before[path].spec}


RATES = [0.1, 0.02, 0.5]
