"""A good configuration, one change of it, and what is said of a bad one."""

import copy
from typing import Any

import pytest

from stagewise.errors import UserError
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan

GOOD: dict[str, Any] = {
    "study": "toy",
    "seeds": [0, 1, 2, 3, 4, 5],
    "claims_tested": ["A4"],
    "data": {
        "source": "digits",
        "image_size": 16,
        "student_images_per_class": 10,
        "target_images_per_class": 5,
        "source_classes": [0, 1, 2, 3, 4],
    },
    "pairs": {
        "p": {
            "teacher": {"network": "resnet14", "width": 16},
            "student": {"network": "resnet8", "width": 16},
        }
    },
    "training": {"epochs": 10, "batch_size": 25},
    "methods": {"hot": {"method": "kd", "temperature": 8.0, "weights": {"ce": 0.5}}},
    "distillation": {"pairs": ["p"], "methods": ["kd", "hot"]},
    "two_stage": {"pairs": ["p"], "methods": ["kd"]},
    "multi_exit": {"pairs": ["p"], "methods": ["exits_ce", "mskd", "oto"]},
    "pruning": [
        {"pair": "p", "ratios": [2, 4]},
        {"pair": "p", "chain": "two_stage", "ratios": [2], "recover": ["ce"]},
    ],
    "learning_rates": {"distillation/p.kd": 0.1},
}


def changed(path: str, value: Any, base: dict[str, Any] = GOOD) -> dict[str, Any]:
    """The good one with another value under a dotted path."""
    raw = copy.deepcopy(base)
    *keys, last = path.split(".")
    place: Any = raw
    for key in keys:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last] = value
    return raw


def message(raw: Any) -> str:
    """What a user reads of a configuration that cannot be planned."""
    with pytest.raises(UserError) as caught:
        make_plan(resolve_config(raw, "toy.yaml"), "toy.yaml")
    return str(caught.value)
