"""Kinds of work that a study consists of: training steps, answers, prunings, of one network each.

They are what ``workload`` counts and ``calibration`` measures.
"""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

import torch

from stagewise.models.cost import layer_macs
from stagewise.models.store import Architecture, build


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

    @property
    def architecture(self) -> Architecture:
        """The shape; for a pruned network, one of evenly narrower layers and about its MACs."""
        options = dict(self.options)
        if self.ratio > 1:
            options["width"] = max(1, round(options["width"] / math.sqrt(self.ratio)))
        fields = (self.classes, self.channels, self.image_size, self.exits)
        return Architecture(self.network, options, *fields)

    @property
    def whole(self) -> "Net":
        """The network before pruning."""
        return Net(**{**vars(self), "ratio": 1.0})


@dataclass(frozen=True)
class Facts:
    """Of a network: MACs of one image by part, bytes of its weights, numbers of its layers, of
    its classifiers and of its pooled channels."""

    macs: Counter[str]
    bytes: int
    layers: int
    heads: int
    pooled: int


@cache
def built(net: Net) -> Facts:
    """Facts of ``net.architecture``, counted on torch's ``meta`` device."""
    with torch.device("meta"):
        network = build(net.architecture, 0)
    parts: Counter[str] = Counter()
    layers = layer_macs(network, net.architecture)
    for name, count in layers.items():
        parts[name.removeprefix("backbone.").partition(".")[0]] += count
    tensors = network.state_dict().values()
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    classifiers = network.classifiers()
    return Facts(parts, size, len(layers), len(classifiers), classifiers[-1].in_features)


@cache
def macs(net: Net) -> float:
    """MACs of one image."""
    return sum(built(net.whole).macs.values()) / net.ratio


@dataclass(frozen=True)
class Training:
    """Training steps, counted in images: in epochs of ``images`` images.

    ``method`` and ``settings`` are JSON: the spec's method and weights, and what of its training
    settings a step depends on. ``teacher`` is there where it answers live; ``pooled`` is the width
    of its pooled vectors where a table has them. ``trains`` are the parts that move; None is all.
    """

    net: Net
    method: str
    settings: str
    images: int
    batch: int
    teacher: Net | None = None
    pooled: int = 0
    trains: tuple[str, ...] | None = None
    reestimate: bool = False

    @property
    def size(self) -> float:
        """MACs of one image: forward, and backward twice as many where something moves."""
        parts = built(self.net.whole).macs
        moving = parts if self.trains is None else self.trains
        back = 0 if self.reestimate else sum(parts[part] for part in moving)
        answers = macs(self.teacher) if self.teacher else 0
        return macs(self.net) + 2 * back / self.net.ratio + answers


@dataclass(frozen=True)
class Forward:
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
class Pruning:
    """Prunings of ``net`` to its ``ratio``, counted one by one."""

    net: Net
    criterion: str
    threads: int

    @property
    def size(self) -> float:
        """Layers: what finding and ranking the coupled channels takes."""
        return built(self.net.whole).layers


Effort = Training | Forward | Pruning
