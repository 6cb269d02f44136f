"""Teachers of one's own in a study: planned as they came, refused where they cannot serve."""

import copy
from pathlib import Path
from typing import Any

import pytest

from stagewise.errors import UserError
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan

RESNET = "torchvision:resnet18"


def study(folder: Path, **teacher: Any) -> dict[str, Any]:
    """A study that is sound, but for what ``teacher`` says."""
    (folder / "mine.pth").touch()
    given = {"weights": str(folder / "mine.pth"), "sha256": "0" * 64, **teacher}
    given = {"network": RESNET, **{k: v for k, v in given.items() if v is not None}}
    return {
        "study": "toy",
        "seeds": [0, 1],
        "data": {"source": "cifar100", "student_images_per_class": 10},
        "pairs": {"p": {"teacher": given, "student": {"network": "resnet8"}}},
        "distillation": {"pairs": ["p"], "methods": ["kd", "crd"]},
    }


def test_it_is_planned_without_training(tmp_path: Path) -> None:
    plan = make_plan(resolve_config(study(tmp_path)))
    (teacher,) = [run.spec.written() for run in plan.step("teachers")]
    assert (teacher["init"], teacher["recipe"]) == ("given", {"recipe": "as_is"})
    folder = "data/toy/teachers/p"
    assert [*plan.given()] == [folder] == [run.parents["init"] for run in plan.step("teachers")]
    assert not plan.weights()
    arms = {run.arm for run in plan.runs.values()}
    assert arms == {"teachers/p", "students/p.baseline", "distillation/p.kd", "distillation/p.crd"}


def test_with_a_new_head_it_is_trained(tmp_path: Path) -> None:
    plan = make_plan(resolve_config(study(tmp_path, head="new")))
    (teacher,) = [run.spec.written() for run in plan.step("teachers")]
    assert (teacher["init"], teacher["recipe"]) == ("features", {"recipe": "one_stage"})


def test_a_foreign_network_may_be_trained_here(tmp_path: Path) -> None:
    plan = make_plan(resolve_config(study(tmp_path, weights=None, sha256=None)))
    assert plan.step("teachers")[0].spec.written()["init"] == "scratch"
    assert not plan.given()


def test_tuning_leaves_it_alone(tmp_path: Path) -> None:
    config = {**study(tmp_path), "tune": {"rates": [0.1, 0.01]}}
    rated = {run.arm for run in make_plan(resolve_config(config)).runs.values()}
    assert "teachers/p" in rated
    assert "teachers/p.lr-0.1" not in rated


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "torchvision:resnet19"}, r"pairs\.p\.teacher\.network.*torchvision:resnet1"),
        ({"network": "nowhere:resnet18"}, r"pairs\.p\.teacher\.network"),
        ({"input_size": 0}, r"pairs\.p\.teacher\.input_size: 0 must be a whole number"),
        ({"weights": "none.pth"}, r"pairs\.p\.teacher\.weights: 'none\.pth' is no file"),
        ({"weights": None}, r"pairs\.p\.teacher\.sha256: is of weights .*; add pairs\.p\.teacher"),
        (
            {"weights": "torchvision", "sha256": None},
            r"pairs\.p\.teacher\.head: .* ImageNet's classes; add head: new",
        ),
        (
            {"weights": "torchvision", "sha256": None, "network": "resnet14", "head": "new"},
            r"pairs\.p\.teacher\.weights: torchvision has none for 'resnet14'",
        ),
        ({"mirrors": ["/a"]}, r"pairs\.p\.teacher\.mirrors: nothing is fetched"),
        ({"head": "old"}, r"pairs\.p\.teacher\.head"),
        ({"std": [0.1, 0.2, 0.0]}, r"pairs\.p\.teacher\.std: .* must be three numbers, not 0"),
        ({"network": "resnet14", "mean": [0.1]}, r"pairs\.p\.teacher\.mean: .* three numbers"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolve_config(study(tmp_path, **change))


@pytest.mark.parametrize("method", ["fitnet", "afd", "ft", "oto", "reviewkd"])
def test_a_method_that_looks_inside_is_refused(tmp_path: Path, method: str) -> None:
    config = study(tmp_path)
    step = "multi_exit" if method == "oto" else "distillation"
    config[step] = {"pairs": ["p"], "methods": [method]}
    with pytest.raises(UserError, match=rf"{step}\.methods\.0: '{method}' looks at what is inside"):
        resolve_config(config)


def test_it_only_teaches(tmp_path: Path) -> None:
    config = study(tmp_path)
    config["pairs"]["p"]["student"]["network"] = RESNET
    with pytest.raises(UserError, match=rf"pairs\.p\.student\.network: '{RESNET}' can only be"):
        resolve_config(config)
    config = study(tmp_path)
    config["data"] = {"source": "digits"}
    with pytest.raises(UserError, match=r"takes colour images, and those of 'digits' are grey"):
        resolve_config(config)
    config = {**copy.deepcopy(study(tmp_path)), "two_stage": {"pairs": ["p"]}}
    config["data"] |= {"source_classes": [0, 1, 2], "target_images_per_class": 5}
    with pytest.raises(UserError, match=r"pairs\.p\.teacher\.weights: two_stage trains teachers"):
        resolve_config(config)
