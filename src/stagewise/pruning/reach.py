"""How far pruning can go: a network's MACs as a function of the channels that its layers keep.

They depend on the numbers of channels alone, so what can be reached is known before any weight is.
A pruner that removes no channel unless the target stays within reach cannot miss it.
"""

import math
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

FloatArray = npt.NDArray[np.float64]

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

    def sizes(self, widths: Widths) -> FloatArray:
        """Inputs and outputs of each layer with so many channels a group, (2, layers)."""
        return self.fixed + np.array(widths) @ self.per_channel

    def macs(self, widths: Widths) -> float:
        """MACs with so many channels a group."""
        inputs, outputs = self.sizes(widths)
        return float(inputs * outputs @ self.cost)

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
        fewer = [
            max(n for n in (*c, 0) if n < w) for c, w in zip(self.choices, widths, strict=True)
        ]
        # channels that are dear first; the order of groups that cannot be narrowed has no effect
        less = np.subtract(fewer, widths)[:, None] * self.per_channel
        order = np.argsort((less + self.sizes(widths)[:, None]).prod(0) @ self.cost, kind="stable")
        return _Search(self, window).narrowed(widths, order.tolist())

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
                f"so many channels must stay ({', '.join(keys)}) that MACs fall by {most:.2f} at"
                " most; let fewer stay, lower the ratio, or take a wider student"
            )
        higher = (percent / 100 for percent in range(1, 51) if percent / 100 > tolerance)
        enough = next(filter(reached, higher), None)
        mend = f"raise it to {enough:g}" if enough else "choose another ratio"
        return (
            "no numbers of channels come so near to it as recovery.tolerance:"
            f" {tolerance:g} asks; {mend}, or take a wider student"
        )


class Descent:
    """Narrows groups one by one to a target, and none so far that the target is out of reach.

    ``channels`` are those of the groups now and ``macs`` what these take; ``goal`` are some that
    they can still be narrowed to, with MACs within ``window``. So it ends there at the latest.
    """

    def __init__(self, reach: Reach, ratio: float, tolerance: float) -> None:
        """Raises ``UserError`` where the target, MACs/``ratio``, is out of reach from the start."""
        if why := reach.why_not(ratio, tolerance):
            raise UserError(f"pruning: {ratio:g}x fewer MACs cannot be reached, as {why}")
        self.reach, self.channels = reach, reach.channels
        self.macs: float = reach.macs(self.channels)
        self.window = Window(self.macs / ratio, tolerance)
        self.goal = reach.within(self.window, self.channels) or self.channels

    def narrow(self, group: int, most: int) -> int:
        """Take up to ``most`` channels from a group; how many it were."""
        now = self.channels[group]
        for width in self.reach.choices[group]:
            if now - most <= width < now:
                widths = (*self.channels[:group], width, *self.channels[group + 1 :])
                goal = self._goal(widths)
                if goal:
                    self.channels, self.goal, self.macs = widths, goal, self.reach.macs(widths)
                    return now - width
        return 0

    def _goal(self, widths: Widths) -> Widths | None:
        """Where to go on to from ``widths``: as before, where that still lies ahead."""
        if all(goal <= width for goal, width in zip(self.goal, widths, strict=True)):
            return self.goal
        return self.reach.within(self.window, widths)


class _Search:
    """Looks for widths within a window, channels of the most MACs first, so that the finer ones
    fill what these leave. Sizes are inputs and outputs of all layers, (2, layers)."""

    def __init__(self, reach: Reach, window: Window) -> None:
        self.reach, self.window, self.left = reach, window, TRIES

    def narrowed(self, widths: Widths, groups: list[int]) -> Widths | None:
        """``widths``, whose MACs are not below the window, with only ``groups`` narrowed."""
        spare = np.array(widths) - np.array(self.reach.least)
        sizes = self.reach.sizes(widths)
        return self._from(widths, groups, sizes, sizes - spare @ self.reach.per_channel)

    def _from(
        self, widths: Widths, groups: list[int], sizes: FloatArray, floor: FloatArray
    ) -> Widths | None:
        """The same; ``sizes`` are those of ``widths``, and ``floor`` those where ``groups`` are as
        narrow as can be."""
        if (sizes[0] * sizes[1]) @ self.reach.cost <= self.window.high:
            return widths
        if not groups:
            return None
        first, *others = groups
        choices = [width for width in self.reach.choices[first] if width <= widths[first]]
        share = self.reach.per_channel[:, first]
        narrower = np.subtract(choices, widths[first])[:, None, None] * share + sizes
        floors = np.subtract(choices, choices[0])[:, None, None] * share + floor
        possible = (narrower.prod(1) @ self.reach.cost >= self.window.low) & (
            floors.prod(1) @ self.reach.cost <= self.window.high
        )
        for at in np.flatnonzero(possible):
            self.left -= 1
            if self.left < 0:
                return None
            chosen = (*widths[:first], choices[at], *widths[first + 1 :])
            found = self._from(chosen, others, narrower[at], floors[at])
            if found:
                return found
        return None


def _sizes(layer: nn.Module) -> tuple[int, int]:
    """Inputs that each output of a layer sees, and outputs."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    return layer.in_channels // layer.groups, layer.out_channels
