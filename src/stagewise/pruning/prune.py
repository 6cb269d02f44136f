"""Remove whole channels until a network needs a given factor fewer MACs.

Torch-Pruning (Fang et al. 2023, arXiv 2301.12900) finds which layers hang together and scores their
channels. Its history, plain JSON in ``Architecture.pruned``, rebuilds the network: no pickles.
"""

import importlib
import math
from dataclasses import dataclass, replace

import torch
import torch_pruning as tp

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.models.cost import total_macs
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, seeded

STEPS = 400
"""Pruning goes on in this many small steps, and stops as soon as it reaches the target."""


@dataclass(frozen=True)
class Limits:
    """What pruning must leave of every layer: channels, and share of its channels."""

    min_channels: int
    min_share: float

    def least(self, channels: int) -> int:
        """Channels to keep of a layer that had ``channels``."""
        return min(channels, max(self.min_channels, math.ceil(self.min_share * channels)))


def prune(
    network: Network,
    architecture: Architecture,
    *,
    criterion: str,
    ratio: float,
    limits: Limits,
    tolerance: float,
    seed: int,
) -> tuple[Architecture, dict[str, float]]:
    """Prune ``network`` in place, all layers ranked together, to MACs/``ratio``.

    Class scores and the input stay whole. Returns the pruned architecture and ``macs_before``,
    ``macs_after``, ``ratio_reached``.

    Raises:
        UserError: the network's channels cannot be removed, or the target was missed by more than
            ``tolerance`` (a share of the target's MACs).
    """
    reason = catalogue.network_fact(architecture.network, "UNPRUNABLE")
    if reason:
        raise UserError(
            f"pruning: '{architecture.network}' cannot be pruned, as {reason}; take another network"
        )
    module = catalogue.module_name(catalogue.criteria()[criterion])
    seeded(seed, "pruning")
    before = macs = total_macs(network, architecture)
    target = before / ratio
    network.requires_grad_(True)
    pruner = tp.pruner.BasePruner(
        network,
        architecture.example(),
        importlib.import_module(module).importance(),
        global_pruning=True,
        pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=network.classifiers(),
        output_transform=outputs,
    )
    graph = pruner.DG
    for _ in range(STEPS):
        if macs <= target:
            break
        for group in pruner.step(interactive=True):
            layer, handler, indices = (
                group[0].dep.target.module,
                group[0].dep.handler,
                group[0].idxs,
            )
            spare = graph.get_out_channels(layer) - limits.least(pruner.layer_init_out_ch[layer])
            removed = list(indices[: max(0, spare)])
            if removed and macs > target:
                # not group.prune(indices), which writes the step into the history twice
                graph.get_pruning_group(layer, handler, removed).prune()
                macs = total_macs(network, architecture)
    reached = before / macs
    if abs(macs - target) > tolerance * target:
        raise UserError(
            f"pruning: {reached:.2f}x fewer MACs reached, not {ratio:g}x (within {tolerance:.0%});"
            f" at least {limits.min_channels} channels and {limits.min_share:.0%} of a layer stay:"
            " ask for a smaller ratio, or take a wider student"
        )
    history = [
        (name, bool(out), [int(index) for index in indices])
        for name, out, indices in graph.pruning_history()
    ]
    network.to(memory_format=torch.channels_last)  # as a rebuilt network is: the same bits
    pruned = replace(architecture, pruned=[*architecture.pruned, *history])
    return pruned, {"macs_before": before, "macs_after": macs, "ratio_reached": reached}
