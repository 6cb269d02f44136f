"""Methods with layers, memory, views or phases of their own, in whole runs.

Each overfits 32 images, and a run that is killed again and again leaves the same bytes.
"""

import csv
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import FILES, data_settings, run_spec, toy_raw, train

from stagewise.catalogue import method_needs, method_recipe
from stagewise.data.prepare import prepare
from stagewise.training.trainer import OutOfTime

PARTS = ["paraphraser", "rotation_heads"]
METHODS = ["afd", "crd", "dkd", "fitnet", "fitnet_two_stage", "ft", "hsakd"]
OPTIONS = {"crd": {"negatives": 64}}
EPOCHS, KILLS = 30, 4


def spec(name: str, epochs: int, images: str, **changes: Any) -> dict[str, Any]:
    method = {"method": name, **OPTIONS.get(name, {})}
    return run_spec(
        {"epochs": epochs, "evaluate_every": epochs},
        data={"task": "all", "images": images},
        method=method,
        recipe=method_recipe(name),
        **changes,
    )


def part(name: str) -> dict[str, Any]:
    return spec(name, 6, "full", init="parent", network={"network": "vgg8", "width": 8})


def student(name: str) -> dict[str, Any]:
    return spec(name, EPOCHS, "few", network={"network": "resnet8", "width": 8})


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Data with 8 training images of each of 4 classes, a teacher and its parts."""
    folder = tmp_path_factory.mktemp("parents")
    data = folder / "data.npz"
    prepare(toy_raw(each=16, size=16), data_settings(student_images_per_class=8), data)
    teacher = train(
        spec("ce", 10, "full", network={"network": "vgg8", "width": 8}), data, folder / "teacher"
    )
    found = {"data": data, "": teacher}
    found |= {name: train(part(name), data, folder / name, init=teacher) for name in PARTS}
    return found


def killed(given: dict[str, Any], data: Path, out: Path, **roles: Path) -> Path:
    """The run, out of time after each of its first epochs."""
    for _ in range(KILLS):
        with suppress(OutOfTime):
            train(given, data, out, budget=1e-9, **roles)
            raise AssertionError("not killed")
    return train(given, data, out, **roles)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_overfits_and_resumes_to_the_same_bytes(
    name: str, parents: dict[str, Path], tmp_path: Path
) -> None:
    teacher = parents[method_needs(name).teacher_part]
    whole = train(student(name), parents["data"], tmp_path / "whole", teacher=teacher)
    with open(whole.parent / "history.csv", newline="") as stream:
        assert list(csv.DictReader(stream))[-1]["train_accuracy"] == "100.0"
    again = killed(student(name), parents["data"], tmp_path / "again", teacher=teacher)
    for file in FILES:
        assert (again.parent / file).read_bytes() == (whole.parent / file).read_bytes(), file


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_the_teacher_resumes_to_the_same_bytes(
    name: str, parents: dict[str, Path], tmp_path: Path
) -> None:
    again = killed(part(name), parents["data"], tmp_path / name, init=parents[""])
    assert again.read_bytes() == parents[name].read_bytes()
