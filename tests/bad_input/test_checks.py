"""What the checks of a configuration know of networks, methods and recipes."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from configs import GOOD
from projects import PROJECT

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.config import resolve_config


def test_facts_of_the_digits_are_true() -> None:
    import numpy as np

    from stagewise.data.sources.base import load_source

    raw = load_source("digits", {}, Path())
    assert raw.images.shape[2] == catalogue.source_fact("digits", "SIZE", {})
    assert len(raw.classes) == catalogue.source_fact("digits", "CLASSES", {})
    assert np.bincount(raw.labels).tolist() == catalogue.source_fact("digits", "IMAGES", {})


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "vgg13"])
def test_facts_of_the_networks_are_true(name: str) -> None:
    import torch
    from helpers import network

    built = network(name).eval()
    smallest = catalogue.network_fact(name, "SMALLEST") or 4
    built(torch.zeros(2, 1, smallest, smallest))
    if smallest > 4:
        with pytest.raises(RuntimeError):
            built(torch.zeros(2, 1, smallest - 1, smallest - 1))


def test_the_least_seeds_are_those_of_the_rules() -> None:
    from stagewise.analysis.claims.rules import MIN_SEEDS

    assert catalogue.least_seeds() == MIN_SEEDS


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom stagewise.study.config import load_config\n"
        "from stagewise.study.plan import make_plan\n"
        "from stagewise.study.warnings import find_warnings\n"
        "find_warnings(make_plan(load_config('config.yaml')))\n"
        "print(sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"hint": 1},
            "methods.f.recipe.hint: 2, but the method's own 'hint' is 1; give both the same",
        ),
        ({"hint": 1, "recipe": {"recipe": "hint_first", "hint": 1}}, ""),
        (
            {"recipe": {"recipe": "hint_first", "hint": 3}},
            "hint: 3, but the method's own 'hint' is 2",
        ),
        ({}, ""),
        ({"hint": 1, "recipe": {"recipe": "one_stage"}}, ""),
        ({"method": "fitnet", "hint": 1}, ""),
    ],
)
def test_a_recipe_and_its_method_mean_one_hint(entry: dict[str, Any], said: str) -> None:
    config = copy.deepcopy(GOOD)
    config["methods"]["f"] = {"method": "fitnet_two_stage", **entry}
    config["distillation"]["methods"] = ["kd", "f"]
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert said in str(caught.value)


def fsp_between(teacher: dict[str, Any], student: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(GOOD)
    config["pairs"]["q"] = {"teacher": teacher, "student": student}
    config["distillation"] = {"pairs": ["q"], "methods": ["fsp"]}
    return config


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        ({"network": "wrn40-2"}, {"network": "wrn16-2"}, ""),
        ({"network": "resnet110"}, {"network": "resnet20"}, ""),
        ({"network": "vgg13"}, {"network": "vgg8"}, ""),
        ({"network": "resnet10", "width": 16}, {"network": "resnet8x4", "width": 16}, ""),
        (
            {"network": "wrn40-2"},
            {"network": "wrn40-1"},
            "stages have 16, 16, 32, 64 channels and the teacher's 16, 32, 64, 128; choose",
        ),
        (
            {"network": "resnet14", "width": 16},
            {"network": "resnet8", "width": 8},
            "stages have 8, 8, 16, 32 channels and the teacher's 16, 16, 32, 64; choose",
        ),
        ({"network": "resnet50"}, {"network": "vgg8"}, "the teacher's 64, 256, 512, 1024, 2048;"),
    ],
)
def test_flows_of_other_channels_are_refused_before_anything_runs(
    teacher: dict[str, Any], student: dict[str, Any], said: str
) -> None:
    config = fsp_between(teacher, student)
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert "distillation.methods.0: 'fsp' compares maps channel by channel" in str(caught.value)
    assert said in str(caught.value)


def test_the_last_assistants_channels_count_where_it_teaches() -> None:
    config = fsp_between({"network": "resnet14", "width": 16}, {"network": "resnet8", "width": 8})
    config["pairs"]["q"]["assistants"] = [{"network": "resnet8", "width": 8}]
    config["methods"]["below"] = {"method": "fsp", "teacher": "assistant"}
    config["distillation"]["methods"] = ["below"]
    resolve_config(config)
    config["pairs"]["q"]["assistants"].append({"network": "resnet8", "width": 4})
    with pytest.raises(UserError, match="and the teacher's 4, 4, 8, 16; choose"):
        resolve_config(config)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"term": "boundary", "weight": 0.1}, ""),
        ({"term": "flow"}, "methods.f.recipe.term: 'flow' is unknown; known: ce, kd, boundary"),
        ({"share": 0.2}, "methods.f.recipe: 'features_first' needs 'term'; add it"),
    ],
)
def test_a_recipes_term_is_one_of_the_methods(recipe: dict[str, Any], said: str) -> None:
    config = copy.deepcopy(GOOD)
    config["methods"]["f"] = {"method": "ab", "recipe": {"recipe": "features_first", **recipe}}
    config["distillation"]["methods"] = ["kd", "f"]
    if not said:
        resolve_config(config)
        return
    with pytest.raises(UserError) as caught:
        resolve_config(config)
    assert said in str(caught.value)


def test_tabs_and_lines_are_text() -> None:
    assert resolve_config({**GOOD, "title": "a\tb\nc"}).title == "a\tb\nc"
