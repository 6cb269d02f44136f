"""Whether methods fit their networks, and pruning its ratios: each is built once on torch's
``meta`` device, before anything trains.

A method that reads feature maps, or has layers of its own, may not fit every pair; what it asks for
only its own file knows, and building it there finds out.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.methods.base import Setup, make_method
from stagewise.models.features import Features, Network
from stagewise.models.store import Architecture, build
from stagewise.recipes.base import check_turns, make_phases
from stagewise.runs.given import Seen, given_teacher
from stagewise.runs.reachable import unreachable
from stagewise.runs.start import make_part, planned
from stagewise.study.images import DataSize
from stagewise.study.matching import matches
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import TrainSpec

Shown = tuple[Network, Features]
"""A network and its features of two images."""


def misfits(plan: Plan, data: DataSize) -> Iterator[str]:
    """A line for each ratio that cannot be reached, for each arm whose method does not fit its
    networks, and for each teacher whose given weights are not what the study says: the key or arm,
    why, and the mend."""
    yield from unreachable(plan.config, data)
    networks = _Networks(data)
    for run in matches(plan):
        if not isinstance(run.spec, TrainSpec):
            continue
        try:
            with torch.device("meta"):
                _build(plan, run, run.spec, networks)
        except UserError as error:
            yield f"{run.arm}: {error}"
    for folder, teacher in plan.given().items():
        if teacher.hosted:  # fetched when its run's turn comes, and checked then
            continue
        try:
            given_teacher(teacher, Seen(data.classes["all"], data.channels, data.size))
        except UserError as error:
            yield f"pairs.{Path(folder).name}.teacher: {error}"


def _build(plan: Plan, run: PlannedRun, spec: TrainSpec, networks: "_Networks") -> None:
    """The method of a run, and what its recipe's phases train of it."""
    needs = catalogue.method_needs(spec.method["method"])
    student, features = networks.shown(spec, needs.blocks)
    above = plan.runs.get(run.parents.get("teacher", ""))
    teacher, answers = None, None
    if needs.teacher and above and isinstance(above.spec, TrainSpec):
        teacher, answers = networks.shown(above.spec, needs.blocks)
    classes, channel = features.logits.shape[1], torch.ones(1, networks.data.channels, 1, 1)
    labels = torch.zeros(2, dtype=torch.int64)
    setup = Setup(features, answers, student, classes, labels, channel, channel, spec.seed)
    if needs.teacher_part and teacher:
        part = make_part({"method": needs.teacher_part}, setup, teacher)
        setup = replace(setup, teacher_part=part)
    method = make_method(spec.method, setup)
    parts = {**student.parts(), **method.parts()}
    epochs, lr = spec.training.epochs, spec.training.lr
    phases = make_phases(spec.recipe, epochs=epochs, lr=lr, paths=student.paths())
    check_turns(phases, method.compares_exits)
    for phase in phases:
        phase.factors(parts)


class _Networks:
    """A study's networks, each built once; those that tap their blocks apart from the others."""

    def __init__(self, data: DataSize) -> None:
        self.data = data
        self.known: dict[str, Shown] = {}

    def shown(self, spec: TrainSpec, blocks: bool) -> Shown:
        """The network of a run, and what it makes of two images."""
        architecture = architecture_of(spec, self.data)
        key = repr((architecture, blocks))
        if key not in self.known:
            network = build(architecture, spec.seed).eval()
            if blocks:
                network.tap_blocks()
            with torch.no_grad():
                self.known[key] = network, network(architecture.example())
        return self.known[key]


def architecture_of(spec: TrainSpec, data: DataSize) -> Architecture:
    """What a run trains, on a study's data."""
    return planned(spec, data.classes[spec.data.task], data.channels, data.size)
