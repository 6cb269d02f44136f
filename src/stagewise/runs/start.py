"""How a run starts: its parents' networks, its own, its method, and what it is built from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from stagewise import catalogue
from stagewise.data.batches import TaskData
from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.methods.base import DistillationMethod, Setup, make_method
from stagewise.models.features import Features, Network
from stagewise.models.store import (
    Architecture,
    build,
    load_network,
    load_part,
    new_classifier,
    seeded,
    with_exits,
)
from stagewise.study.spec import Entry, TrainSpec

Built = tuple[Network, Architecture]


@dataclass(frozen=True)
class Inputs:
    """Files of a run: prepared data, and parents' weight files by role (``teacher``, ``init``)."""

    data: Path
    parents: dict[str, Path]

    def sha256(self) -> dict[str, str]:
        """Checksum of every input."""
        files = {"data": self.data, **self.parents}
        return {role: sha256_file(path) for role, path in files.items()}


def load_parent(inputs: Inputs, role: str, data: TaskData, *, same_classes: bool = True) -> Built:
    """The network of a parent.

    Raises:
        UserError: it was not given, or was made for other images or classes than the run's.
    """
    path = inputs.parents.get(role)
    if path is None:
        raise UserError(f"--{role}: this run needs the weights of a parent; give --{role} FILE")
    network, architecture = load_network(path)
    channels, size = data.shape
    made = [architecture.channels, architecture.image_size]
    given = [channels, size]
    if same_classes:
        made, given = [*made, architecture.classes], [*given, len(data.classes)]
    if made != given:
        raise UserError(
            f"{path}: its (channels, pixels, classes) {made} do not fit those of {inputs.data},"
            f" {given}; delete both and run again, so that they are of one study"
        )
    return network, architecture


def planned(spec: TrainSpec, classes: int, channels: int, size: int) -> Architecture:
    """The network that a spec names, for so many classes and such images."""
    name = spec.network["network"]
    given = catalogue.network_options(name) | spec.network
    options = {key: value for key, value in given.items() if key != "network"}
    places = [*spec.exit_places]
    return Architecture(name, options, classes, channels, size, spec.exits or None, places=places)


def from_scratch(spec: TrainSpec, inputs: Inputs, data: TaskData) -> Built:
    """New weights."""
    architecture = planned(spec, len(data.classes), *data.shape)
    return build(architecture, spec.seed), architecture


def from_parent(spec: TrainSpec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's weights; new exits where the spec has exits and the parent none."""
    network, architecture = load_parent(inputs, "init", data)
    if spec.exits and not architecture.exits:
        return with_exits(network, architecture, spec.exits, spec.seed, spec.exit_places)
    return network, architecture


def from_features(spec: TrainSpec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's backbone under a new classifier for the task's classes."""
    network, architecture = load_parent(inputs, "init", data, same_classes=False)
    new_classifier(network, len(data.classes), spec.seed, spec.classifier)
    return network, replace(architecture, classes=len(data.classes))


def from_shape(spec: TrainSpec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's (pruned) shape with new weights."""
    _, architecture = load_parent(inputs, "init", data)
    return build(architecture, spec.seed), architecture


STARTS: dict[str, Callable[[TrainSpec, Inputs, TaskData], Built]] = {
    "scratch": from_scratch,
    "parent": from_parent,
    "features": from_features,
    "shape": from_shape,
    "given": from_parent,
}


def start(spec: TrainSpec, inputs: Inputs, data: TaskData) -> Built:
    """The network of a run as it is before its first step, on the CPU.

    Raises:
        UserError: a parent is missing or does not fit.
    """
    return STARTS[spec.init](spec, inputs, data)


@torch.no_grad()
def dry_run(network: Network, data: TaskData) -> Features:
    """Features of the first two training images, in evaluation mode, taps in float32."""
    network.eval()
    features: Features = network(data.normalise(data.train.images[:2]))
    return features


def make_setup(
    needs: Needs, network: Network, teacher: Network | None, data: TaskData, seed: int
) -> Setup:
    """What a method is built from, without a part of the teacher; from here on both networks tap
    what the method needs."""
    if needs.blocks:
        for each in filter(None, (network, teacher)):
            each.tap_blocks()
    return Setup(
        student=dry_run(network, data),
        teacher=dry_run(teacher, data) if teacher else None,
        network=network,
        classes=len(data.classes),
        labels=data.train.labels,
        mean=data.mean,
        std=data.std,
        seed=seed,
    )


def make_part(entry: Entry, setup: Setup, teacher: Network) -> DistillationMethod:
    """The method ``entry``, with new weights, as it is trained on the frozen teacher."""
    assert setup.teacher is not None
    own = replace(setup, student=setup.teacher, teacher=None, network=teacher)
    return make_method(entry, own).to(setup.labels.device).eval().requires_grad_(False)


def build_method(
    spec: TrainSpec, inputs: Inputs, data: TaskData, network: Network, teacher: Network | None
) -> DistillationMethod:
    """The run's method, from a dry run of both networks, on their device.

    Raises:
        UserError: the networks do not fit the method, or the teacher lacks the part that it needs.
    """
    needs = catalogue.method_needs(spec.method["method"])
    setup = make_setup(needs, network, teacher, data, spec.seed)
    if needs.teacher_part and teacher:
        part = load_teacher_part(needs.teacher_part, inputs.parents["teacher"], setup, teacher)
        setup = replace(setup, teacher_part=part)
    seeded(spec.seed, "method")
    return make_method(spec.method, setup).to(data.train.labels.device)


def load_teacher_part(name: str, path: Path, setup: Setup, teacher: Network) -> DistillationMethod:
    """The method ``name`` as a run of its own trained it on the frozen teacher.

    Raises:
        UserError: the teacher's file has no such part.
    """
    entry, tensors = load_part(path)
    part = make_part(entry or {"method": name}, setup, teacher)
    assert setup.teacher is not None
    lacking = catalogue.method_needs(name).exits and not setup.teacher.exits
    if entry.get("method", name) != name or part.state_dict().keys() != tensors.keys() or lacking:
        raise UserError(
            f"{path}: this teacher has no part '{name}', which the method needs; give the weights"
            f" of teachers/<pair>.{catalogue.teacher_part(name)}"
        )
    part.load_state_dict(tensors)
    return part
