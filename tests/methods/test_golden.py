"""The weighted loss and its gradient of every method as the shipped studies configure it, phase by
phase, against ``golden.csv``: an edit that moves a number shows here which studies it moves.

    python tests/methods/test_golden.py        writes the file anew, for a change that is meant
"""

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT, make, network, shown, task_data, whole_batch

from stagewise.catalogue import method_needs, method_weights
from stagewise.recipes.base import make_phases
from stagewise.study.config import Config, load_config
from stagewise.study.config.yaml_file import load_yaml

GOLDEN = Path(__file__).with_name("golden.csv")
SIZE, IMAGES, EPOCHS = 16, 8, 10
Row = tuple[str, str, str]
"""Study, label and phase."""


@cache
def configs() -> dict[str, Config]:
    """The shipped studies, by name."""
    files = [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))]
    whole = [file for file in files if "pairs" in load_yaml(file)]
    return {file.stem: load_config(file) for file in whole}


def shipped() -> list[tuple[str, str]]:
    """Study and label of every method that a shipped study trains."""
    return [
        (name, label)
        for name, config in configs().items()
        for label in dict.fromkeys(
            each for step in config.taught_steps().values() if step.pairs for each in step.methods
        )
    ]


def numbers(study: str, label: str) -> dict[Row, tuple[float, float]]:
    """Loss and norm of the gradient of student and method in each phase, in double precision."""
    entry = configs()[study].method(label)
    needs, name = method_needs(entry.method), entry.method
    data = task_data(IMAGES, size=SIZE)
    student = network("resnet14", exits="sepatt" if needs.exits else None, image_size=SIZE)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = network(seed=1, exits=exits, image_size=SIZE) if needs.teacher else None
    torch.manual_seed(0)
    few: dict[str, Any] = {"negatives": 32} if needs.remembers else {}
    if weights := entry.options.get("exit_weights"):
        few["exit_weights"] = weights[: len(student.stages)]  # the studies' networks have more
    method = make(name, student, teacher, data, **{**entry.method_options(), **few})
    for module in (method, student, teacher, method.teacher_part):
        if module is not None:
            module.double().eval()
    batch = whole_batch(data)
    batch = replace(batch, images=batch.images.double())
    given = {**method_weights(name), **entry.weights}
    recipe = entry.trained_by()
    found = {}
    for phase in make_phases(recipe, epochs=EPOCHS, lr=0.1):
        weights = given if phase.weights is None else phase.weights
        terms = method(*shown(method, batch, student, teacher))
        loss = torch.stack([weights[key] * terms[key] for key in terms if weights.get(key)]).sum()
        parameters = [*student.parameters(), *method.parameters()]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        norm = torch.stack([g.norm() for g in gradients if g is not None]).norm()
        found[study, label, phase.name] = loss.item(), norm.item()
    return found


def golden() -> dict[Row, tuple[float, float]]:
    with GOLDEN.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        (row["study"], row["method"], row["phase"]): (float(row["loss"]), float(row["gradient"]))
        for row in rows
    }


@pytest.mark.parametrize(("study", "label"), shipped())
def test_losses_and_gradients_of_shipped_studies_are_what_they_were(study: str, label: str) -> None:
    expected = {row: values for row, values in golden().items() if row[:2] == (study, label)}
    found = numbers(study, label)
    assert found.keys() == expected.keys()
    for row, values in found.items():
        assert values == pytest.approx(expected[row], rel=1e-7)


def test_nothing_else_is_written_down() -> None:
    assert {row[:2] for row in golden()} == {*shipped()}


if __name__ == "__main__":
    with GOLDEN.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "method", "phase", "loss", "gradient"])
        for each in shipped():
            for key, (value, slope) in numbers(*each).items():
                writer.writerow([*key, f"{value:.10g}", f"{slope:.10g}"])
