"""Configurations of data from elsewhere, the user's own images among them."""

import copy
from pathlib import Path
from typing import Any

import pytest
from configs import GOOD, message

from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan


def with_data(**data: Any) -> dict[str, Any]:
    """The good study on other data."""
    block = {**GOOD["data"], "student_images_per_class": None, "target_images_per_class": None}
    return {**copy.deepcopy(GOOD), "data": {**block, **data}}


def own_images(path: Path, *counts: int) -> Path:
    """A folder of classes whose images are not looked at yet."""
    for number, count in enumerate(counts):
        (path / f"class-{number}").mkdir(parents=True)
        for image in range(count):
            (path / f"class-{number}" / f"{image}.jpg").touch()
    return path


def test_without_validation_there_is_no_tuning() -> None:
    config = {**GOOD, "two_stage": {}, "pruning": [], "data": {**GOOD["data"], "validation": 0}}
    resolve_config(config)
    lines = message({**config, "tune": {"rates": [0.1, 0.2]}}).splitlines()
    assert len(lines) == 1
    assert "data.validation: 0, but tune chooses rates on held-out images; hold some" in lines[0]


CIFAR = {"source": "cifar100", "image_size": 32, "validation": 0.1}
DATA_CASES: list[tuple[dict[str, Any], str]] = [
    ({**CIFAR, "student_images_per_class": 460}, "data.student_images_per_class|460|the 450"),
    ({**CIFAR, "source_classes": [0, 100]}, "data.source_classes|[100]|use 0 to 99"),
    ({**CIFAR, "classes": 101}, "data.classes|101|100 classes of 'cifar100'"),
    ({**CIFAR, "classes": [0, 1, 100]}, "data.classes|100 classes of 'cifar100'"),
    ({**CIFAR, "subset": True}, "data|'subset' is unknown"),
    ({"source": "tiny_imagenet", "subset": 1}, "data.subset|1 is of the wrong type|true or false"),
    ({"source": "image_folder"}, "data.path: missing; name the folder"),
    ({"source": "image_folder", "path": 3}, "data.path|3 is of the wrong type|give a text"),
]


@pytest.mark.parametrize(("data", "parts"), DATA_CASES)
def test_other_data_are_checked_as_well(data: dict[str, Any], parts: str) -> None:
    lines = message(with_data(**data)).splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts.split("|")), lines


def test_the_subset_of_tiny_imagenet_has_fewer_images() -> None:
    tiny = {"source": "tiny_imagenet", "image_size": 64, "student_images_per_class": 90}
    assert "90 are more than the 80" in message(with_data(**tiny, subset=True))
    resolve_config(with_data(**tiny))


@pytest.mark.parametrize(
    ("counts", "data", "parts"),
    [
        ((5,), {}, "data.path|holds 1 folders|two or more"),
        ((5, 0, 5), {}, "data.path|'class-1'|holds no image"),
        ((5, 5, 2), {}, "data.path|'class-2'|has 2 images|need 3"),
        ((9, 9, 9, 9), {"source_classes": [0, 4]}, "data.source_classes|[4]|use 0 to 3"),
        ((90, 90, 9, 90), {"student_images_per_class": 30}, "30|the 4 training images"),
    ],
)
def test_own_images_are_counted_before_any_work(
    tmp_path: Path, counts: tuple[int, ...], data: dict[str, Any], parts: str
) -> None:
    path = str(own_images(tmp_path / "own", *counts))
    data = {"source": "image_folder", "path": path, "source_classes": [0, 1], **data}
    lines = message(with_data(**data)).splitlines()
    assert len(lines) == 1
    assert all(part in lines[0] for part in parts.split("|")), lines


def test_the_smallest_class_is_that_of_the_classes_in_use(tmp_path: Path) -> None:
    path = str(own_images(tmp_path / "own", 90, 90, 90, 90, 9))
    data = {"source": "image_folder", "path": path, "source_classes": [0, 1]}
    few = {"student_images_per_class": 30}
    resolve_config(with_data(**data, **few, classes=4))
    assert "more than the 4" in message(with_data(**data, **few, classes=[0, 1, 2, 4]))


def test_a_folder_that_is_not_here_does_not_hinder_redrawing(tmp_path: Path) -> None:
    data = {"source": "image_folder", "path": str(tmp_path / "absent"), "source_classes": [0, 1]}
    assert make_plan(resolve_config(with_data(**data))).runs
