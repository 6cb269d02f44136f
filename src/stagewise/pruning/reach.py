"""How far pruning can go: a network's MACs as a function of the channels that its layers keep.

They depend on the numbers of channels alone, so what can be reached is known before any weight is.
A pruner that removes no channel unless the target stays within reach cannot miss it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from stagewise.errors import UserError
from stagewise.models.cost import layer_macs
from stagewise.models.coupling import coupled
from stagewise.models.features import Network
from stagewise.models.store import Architecture

Widths = tuple[int, ...]
"""Channels of each group of coupled layers."""

TRIES = 500
"""Choices of a group's channels that one search makes at most."""


@dataclass(frozen=True)
class Limits:
    """What pruning must leave of every layer: channels, and share of its channels, in multiples of
    ``round_to``; layers whose name fits a pattern of ``keep`` lose none."""

    min_channels: int
    min_share: float
    round_to: int = 1
    keep: tuple[str, ...] = ()

    def least(self, channels: int) -> int:
        """Channels to keep of a layer that had ``channels``."""
        least = max(self.min_channels, math.ceil(self.min_share * channels))
        return min(channels, self.round_to * math.ceil(least / self.round_to))

    def widths(self, channels: int) -> list[int]:
        """What a layer that had ``channels`` may have, rising."""
        rounded = range(self.least(channels), channels + 1)
        return [n for n in rounded if n == channels or n % self.round_to == 0]

    def ignored(self, network: Network) -> list[nn.Module]:
        """Layers that lose no channel: those of class scores, and those to keep.

        Raises:
            UserError: a pattern fits no layer.
        """
        layers = dict(network.named_modules())
        kept = {p: [n for n in layers if n and fnmatchcase(n, p)] for p in self.keep}
        for pattern, names in kept.items():
            if not names:
                top = ", ".join(name for name, _ in network.named_children())
                raise UserError(
                    f"keep: '{pattern}' fits no layer; names begin with {top}, and * stands for"
                    " anything"
                )
        return [*network.classifiers(), *(layers[n] for names in kept.values() for n in names)]


@dataclass(frozen=True)
class Window:
    """MACs that are near enough to a ``target``."""

    target: float
    tolerance: float

    @property
    def low(self) -> float:
        """Least MACs."""
        return self.target * (1 - self.tolerance)

    @property
    def high(self) -> float:
        """Most MACs."""
        return self.target * (1 + self.tolerance)


class Reach:
    """MACs of a network by the channels of its groups of coupled layers.

    ``roots`` are the groups' first layers, ``channels`` what they have, ``choices`` what each may
    be left with, rising.
    """

    def __init__(
        self, network: Network, architecture: Architecture, graph: Any, limits: Limits
    ) -> None:
        """``graph``: Torch-Pruning's, of the network as it is."""
        groups = coupled(graph, limits.ignored(network))
        self.limits = limits
        self.roots = [group.root for group in groups]
        self.channels: Widths = tuple(group.count for group in groups)
        self.choices = [limits.widths(group.count) for group in groups]
        counts = layer_macs(network, architecture)
        rows = {network.get_submodule(name): row for row, name in enumerate(counts)}
        sizes = np.array([_sizes(layer) for layer in rows], dtype=np.float64).T
        self.per_channel = np.zeros((2, len(groups), len(rows)))
        for column, group in enumerate(groups):
            for part in group.parts:
                grouped = getattr(part.layer, "groups", 1) > 1 and not part.output
                if part.layer in rows and not grouped:
                    share = len(part.numbers) / group.count
                    self.per_channel[int(part.output), column, rows[part.layer]] += share
        self.fixed = sizes - np.array(self.channels) @ self.per_channel
        self.cost = np.array([*counts.values()]) / sizes.prod(0)

    def macs(self, widths: Sequence[int] | npt.NDArray[np.int64]) -> Any:
        """MACs with so many channels a group, (groups,), or of each row of (N, groups)."""
        inputs, outputs = (
            fixed + np.asarray(widths) @ share
            for fixed, share in zip(self.fixed, self.per_channel, strict=True)
        )
        return (inputs * outputs) @ self.cost

    @property
    def least(self) -> Widths:
        """The channels that must stay."""
        return tuple(choices[0] for choices in self.choices)

    def within(self, window: Window, widths: Widths) -> Widths | None:
        """No more channels than ``widths``, with MACs within ``window``; None where there are no
        such, or where a long search finds none."""
        macs = self.macs(widths)
        if macs < window.low:
            return None
        single = np.tile(widths, (len(widths), 1))  # a row a group that is one choice narrower
        for number, now in enumerate(widths):
            fewer = [width for width in self.choices[number] if width < now]
            single[number, number] = fewer[-1] if fewer else now
        coarse_first = np.argsort(self.macs(single), kind="stable")
        return _Search(self, window).narrowed(widths, [int(n) for n in coarse_first])

    def why_not(self, ratio: float, tolerance: float) -> str:
        """Why MACs cannot fall by ``ratio``, and the mend, in words; empty where they can."""
        dense = self.macs(self.channels)

        def reached(within: float) -> bool:
            return self.within(Window(dense / ratio, within), self.channels) is not None

        if reached(tolerance):
            return ""
        most = dense / self.macs(self.least)
        if ratio > most * (1 + tolerance):
            keys = ["recovery.min_share", "recovery.min_channels"]
            keys += ["round_to"] * (self.limits.round_to > 1) + ["keep"] * bool(self.limits.keep)
            return (
                f"{', '.join(keys)} keep so much that MACs fall by {most:.2f} at most; lower one of"
                " them, or the ratio, or take a wider student"
            )
        higher = (percent / 100 for percent in range(1, 51) if percent / 100 > tolerance)
        enough = next(filter(reached, higher), None)
        mend = f"raise it to {enough:g}" if enough else "choose another ratio"
        return (
            "no numbers of channels come so near to it as recovery.tolerance:"
            f" {tolerance:g} asks; {mend}, or take a wider student"
        )


class _Search:
    """Looks for widths within a window, channels of the most MACs first, so that the finer ones
    fill what these leave."""

    def __init__(self, reach: Reach, window: Window) -> None:
        self.reach, self.window, self.left = reach, window, TRIES

    def narrowed(self, widths: Widths, groups: list[int]) -> Widths | None:
        """``widths``, whose MACs are not below the window, with only ``groups`` narrowed."""
        if self.reach.macs(widths) <= self.window.high:
            return widths
        if not groups:
            return None
        first, *others = groups
        options = np.array([n for n in self.reach.choices[first] if n <= widths[first]])
        tried = np.tile(widths, (len(options), 1))
        tried[:, first] = options
        bound = tried.copy()
        bound[:, others] = np.array(self.reach.least)[others]
        possible = (self.reach.macs(tried) >= self.window.low) & (
            self.reach.macs(bound) <= self.window.high
        )
        for choice in tried[possible]:
            self.left -= 1
            found = self.narrowed(tuple(map(int, choice)), others) if self.left >= 0 else None
            if found:
                return found
        return None


def _sizes(layer: nn.Module) -> tuple[int, int]:
    """Inputs that each output of a layer sees, and outputs."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    return layer.in_channels // layer.groups, layer.out_channels
