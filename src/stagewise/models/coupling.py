"""Layers whose channels hang together: where one has a channel less, all of them have."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from torch import nn

WEIGHTED = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d
"""Layers whose weights belong to channels."""


@dataclass(frozen=True)
class Part:
    """What a layer has of a group's channels: its ``numbers`` of the outputs, or else of the
    inputs, each of the group's channel in ``channels``."""

    layer: nn.Module
    output: bool
    numbers: list[int]
    channels: list[int]

    @property
    def axis(self) -> int:
        """Of the layer's weight, along which its numbers lie."""
        return int(self.output == isinstance(self.layer, nn.ConvTranspose2d))


@dataclass(frozen=True)
class Coupled:
    """A group of layers that lose ``count`` channels together; ``root`` is the first of them."""

    root: nn.Module
    count: int
    parts: list[Part]


def coupled(graph: Any, ignored: Collection[nn.Module] = ()) -> list[Coupled]:
    """The groups of a Torch-Pruning graph in which no layer of ``ignored`` would lose outputs."""
    found = []
    for group in graph.get_all_groups(ignored_layers=[*ignored]):
        parts = [
            Part(
                item.dep.target.module,
                graph.is_out_channel_pruning_fn(item.dep.handler),
                item.idxs,
                item.root_idxs,
            )
            for item in group.items
            if isinstance(item.dep.target.module, WEIGHTED)
        ]
        found.append(Coupled(parts[0].layer, len(parts[0].numbers), parts))
    return found
