"""Kinds of work that a study consists of: training steps, answers, prunings, of one network each.

They are what ``workload`` counts and ``calibration`` measures.
"""

import math
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import torch

from stagewise.models.cost import layer_macs
from stagewise.models.features import Paths
from stagewise.models.store import Architecture, build
from stagewise.recipes.base import Phase, matched
from stagewise.study.spec import Training
from stagewise.training.teachers import widths
from stagewise.training.trainer import deepest_exit


@dataclass(frozen=True)
class Net:
    """A network's shape; ``ratio``: the factor by which pruning cut its MACs."""

    network: str
    options: tuple[tuple[str, int], ...]
    classes: int
    channels: int
    image_size: int
    exits: str | None = None
    ratio: float = 1.0
    places: tuple[int, ...] = ()

    @property
    def architecture(self) -> Architecture:
        """The shape; for a pruned network, one of evenly narrower layers and about its MACs."""
        options = dict(self.options)
        if self.ratio > 1:
            options["width"] = max(1, round(options["width"] / math.sqrt(self.ratio)))
        fields = (self.classes, self.channels, self.image_size, self.exits)
        return Architecture(self.network, options, *fields, places=[*self.places])

    @property
    def whole(self) -> "Net":
        """The network before pruning."""
        return replace(self, ratio=1.0)


@dataclass(frozen=True)
class Counts:
    """Of a network: ``macs`` of one image by part, ``parts``, those of the ``backbone`` among them
    and ``stages``, shallow to deep, bytes of its weights, numbers of its layers and of the values
    of its answer, and of its pooled vector, and the parts that lead to each exit."""

    macs: Counter[str]
    parts: tuple[str, ...]
    backbone: tuple[str, ...]
    stages: tuple[str, ...]
    bytes: int
    layers: int
    heads: int
    answer: int
    pooled: int
    paths: Paths


@cache
def built(net: Net) -> Counts:
    """Counts of ``net.architecture``, made on torch's ``meta`` device."""
    with torch.device("meta"):
        network = build(net.architecture, 0)
    by_part: Counter[str] = Counter()
    layers = layer_macs(network, net.architecture)
    names = {id(m): part for part, module in network.parts().items() for m in module.modules()}
    modules = dict(network.named_modules())
    for name, count in layers.items():
        by_part[names[id(modules[name])]] += count
    tensors = network.state_dict().values()
    answer = widths(network)
    return Counts(
        by_part,
        tuple(network.parts()),
        network.backbone_parts(),
        network.stages,
        sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        len(layers),
        len(network.classifiers()),
        sum(answer),
        sum(widths(network, pooled=True)) - sum(answer),
        network.paths(),
    )


@cache
def macs(net: Net) -> float:
    """MACs of one image."""
    return sum(built(net.whole).macs.values()) / net.ratio


@dataclass(frozen=True)
class Steps:
    """Training steps, counted in images: in epochs of ``images`` images.

    ``method`` is JSON: the spec's method and weights; ``settings`` are the spec's, without what a
    step does not depend on. ``views``: images that the method makes of each. ``teacher`` answers
    ``live``, or from a table. ``phase``: the kind of phase; ``trains``: the parts that move, all
    where it is None. ``exits``: heads of those that run, where it is not all.
    """

    net: Net
    method: str
    settings: Training
    images: int
    batch: int
    views: int = 1
    teacher: Net | None = None
    live: bool = False
    phase: type[Phase] = Phase
    trains: tuple[str, ...] | None = None
    exits: tuple[str, ...] | None = None

    @property
    def size(self) -> float:
        """MACs of one image: forward, and backward twice as many where something moves; those of a
        method's own layers are not counted."""
        counts = built(self.net.whole)
        moving = {*counts.parts} if self.trains is None else self._moving(counts)
        deepest = deepest_exit(counts.parts, counts.stages, moving)
        idle = set() if deepest is None else {*counts.stages[deepest:], "classifier"}
        reached = range(1, (deepest or len(counts.stages)) + 1)
        heads = {name for name in counts.parts if name.startswith("exits.")}
        idle |= heads - ({f"exits.{n}" for n in reached} if self.exits is None else {*self.exits})
        forward = sum(n for part, n in counts.macs.items() if part not in idle)
        back = sum(counts.macs[part] for part in moving) if self.phase.updates else 0
        answers = macs(self.teacher) if self.teacher and self.live else 0
        return self.views * ((forward + 2 * back) / self.net.ratio + answers)

    def _moving(self, counts: Counts) -> set[str]:
        return {part for name in self.trains or () for part in matched(name, counts.parts)}


@dataclass(frozen=True)
class Answers:
    """Answers without gradients, counted in images, ``batch`` at a time."""

    net: Net
    batch: int
    dtype: str
    threads: int

    @property
    def size(self) -> float:
        """MACs of one image."""
        return macs(self.net)


@dataclass(frozen=True)
class Prunings:
    """Prunings of ``net`` to its ``ratio``, counted one by one; ``images`` are those that its
    criterion looks at."""

    net: Net
    criterion: str
    threads: int
    images: int = 0

    @property
    def size(self) -> float:
        """Layers: what finding and ranking the coupled channels takes."""
        return built(self.net.whole).layers


Kind = Steps | Answers | Prunings
"""What a study has to compute, counted from its plan alone: no data, no training.

A run is a sum of kinds: so many images of one kind of training step, so many of one forward pass.
"""
