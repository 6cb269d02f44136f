"""The weighted loss and its gradient of every method as the shipped studies train it, by the very
weights of their planned runs, against ``golden.csv``: an edit that moves a number shows here which
studies it moves.

    python tests/methods/test_golden.py        writes the file anew, for a change that is meant
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT, make, network, shown, task_data, whole_batch

from stagewise.catalogue import method_needs, method_weights, methods, teacher_part
from stagewise.files import canonical_json
from stagewise.recipes.base import make_phases
from stagewise.study.config import load_config
from stagewise.study.config.yaml_file import load_yaml
from stagewise.study.plan import make_plan
from stagewise.study.planned import Plan
from stagewise.study.spec import Entry, TrainSpec

GOLDEN = Path(__file__).with_name("golden.csv")
SIZE, IMAGES, EPOCHS = 16, 8, 10
Row = tuple[str, str, str]
"""Study, arm and phase."""
Trained = tuple[str, str]
"""Method and weights of its loss terms, as JSON: all that a row's numbers depend on."""


@cache
def plans() -> dict[str, Plan]:
    """The plans of the shipped studies, by name."""
    files = [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))]
    whole = [file for file in files if "pairs" in load_yaml(file)]
    return {file.stem: make_plan(load_config(file), file.name) for file in whole}


def trained(spec: TrainSpec) -> Iterator[tuple[str, Trained]]:
    """The phases of a run in which weights move, by name."""
    own: Mapping[str, float] = spec.settings()["weights"]
    for phase in make_phases(spec.recipe, epochs=EPOCHS, lr=0.1):
        if phase.updates:
            weights = dict(own if phase.weights is None else phase.weights)
            yield phase.name, (canonical_json(spec.method), canonical_json(weights))


@cache
def shipped() -> dict[Row, Trained]:
    """Of each study the first arm that trains by a method with these weights, as a label has it."""
    found: dict[Row, Trained] = {}
    for name, plan in plans().items():
        known = set[tuple[str, Trained]]()
        for run in plan.runs.values():
            for phase, what in trained(run.spec) if isinstance(run.spec, TrainSpec) else ():
                one = run.labels["method"], what
                if one not in known:
                    known.add(one)
                    found[name, run.arm, phase] = what
    return found


@cache
def numbers(trained: Trained) -> tuple[float, float]:
    """Loss and norm of the gradient of student and method, in double precision; of a teacher's
    part, of the network that it is trained on."""
    entry: Entry
    weights: dict[str, float]
    entry, weights = (json.loads(each) for each in trained)
    name = entry["method"]
    needs, options = method_needs(name), {k: v for k, v in entry.items() if k != "method"}
    data = task_data(IMAGES, size=SIZE)
    student = network("resnet14", exits="sepatt" if needs.exits else None, image_size=SIZE)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = network(seed=1, exits=exits, image_size=SIZE) if needs.teacher else None
    torch.manual_seed(0)
    few: dict[str, Any] = {"negatives": 32} if needs.remembers else {}
    if each := options.get("exit_weights"):
        few["exit_weights"] = each[: len(student.stages)]  # the studies' networks have more
    method = make(name, student, teacher, data, **{**options, **few})
    for module in (method, student, teacher, method.teacher_part):
        if module is not None:
            module.double().eval()
    batch = whole_batch(data)
    batch = replace(batch, images=batch.images.double())
    terms = method(*shown(method, batch, student, teacher))
    loss = torch.stack([weights[key] * terms[key] for key in terms if weights.get(key)]).sum()
    parameters = [*student.parameters(), *method.parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    norm = torch.stack([g.norm() for g in gradients if g is not None]).norm()
    return loss.item(), norm.item()


@cache
def golden() -> dict[Row, tuple[float, float]]:
    with GOLDEN.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {
        (row["study"], row["arm"], row["phase"]): (float(row["loss"]), float(row["gradient"]))
        for row in rows
    }


@pytest.mark.parametrize("study", plans())
def test_losses_and_gradients_of_shipped_studies_are_what_they_were(study: str) -> None:
    expected = {row: values for row, values in golden().items() if row[0] == study}
    found = {row: numbers(what) for row, what in shipped().items() if row[0] == study}
    assert found == {row: pytest.approx(values, rel=1e-7) for row, values in expected.items()}


def test_the_file_has_the_shipped_studies_and_their_teachers_parts() -> None:
    assert {row[0] for row in golden()} == {*plans()}
    parts = {json.loads(method)["method"] for method, _ in shipped().values()}
    assert {name for name in methods() if teacher_part(name)} <= parts


@pytest.mark.parametrize("method", ["at", "crd", "vid"])
def test_a_weight_changes_the_numbers(method: str) -> None:
    entry, weights = canonical_json({"method": method}), method_weights(method)
    stronger = {term: weight if term == "ce" else 9 * weight for term, weight in weights.items()}
    once, more = (numbers((entry, canonical_json(each))) for each in (weights, stronger))
    assert all(new > old for new, old in zip(more, once, strict=True))


if __name__ == "__main__":
    with GOLDEN.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["study", "arm", "phase", "loss", "gradient"])
        for row, what in shipped().items():
            writer.writerow([*row, *(f"{value:.10g}" for value in numbers(what))])
