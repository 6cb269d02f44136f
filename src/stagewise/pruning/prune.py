"""Remove whole channels until a network needs a given factor fewer MACs.

Torch-Pruning (Fang et al. 2023, arXiv 2301.12900) finds which layers hang together and ranks their
channels. Its history, plain JSON in ``Architecture.pruned``, rebuilds the network: no pickles.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch_pruning as tp
from torch import nn

from stagewise import catalogue
from stagewise.data.batches import TaskData
from stagewise.errors import UserError
from stagewise.models.cost import total_macs
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, seeded
from stagewise.pruning.reach import Descent, Limits, Reach
from stagewise.pruning.scores import Scores, loss_gradients

STEPS = 400
"""Pruning goes on in this many small steps, and stops as soon as it reaches the target."""

GRADIENT_STEPS = 20
"""After so many steps gradients are taken anew, for a criterion that asks for them."""


def prune(
    network: Network,
    architecture: Architecture,
    *,
    criterion: str,
    ratio: float,
    limits: Limits,
    tolerance: float,
    seed: int,
    one_shot: bool = False,
    data: TaskData | None = None,
) -> tuple[Architecture, dict[str, float]]:
    """Prune ``network`` in place, layers ranked as the criterion says, to MACs/``ratio``.

    Class scores and the input stay whole. Channels are scored anew after every small step, or with
    ``one_shot`` once. ``data``: for a criterion that asks for gradients. Returns the pruned
    architecture and ``macs_before``, ``macs_after``, ``ratio_reached``.

    Raises:
        UserError: the network's channels cannot be removed, or the target cannot be reached within
            ``tolerance`` (a share of the target's MACs), which planning finds too.
    """
    reason = catalogue.network_fact(architecture.network, "UNPRUNABLE")
    if reason:
        raise UserError(
            f"pruning: '{architecture.network}' cannot be pruned, as {reason}; take another network"
        )
    seeded(seed, "pruning")
    before = total_macs(network, architecture)
    pruning = _Pruning(network, architecture, Scores(criterion, one_shot=one_shot), limits)
    descent = pruning.aim(ratio, tolerance)
    gradients = catalogue.criterion_fact(criterion, "GRADIENTS")
    for step in range(STEPS):
        if descent.macs <= descent.window.target:
            break
        if gradients and step % GRADIENT_STEPS == 0 and not (one_shot and step):
            assert data is not None, f"{criterion}: needs training images"
            loss_gradients(network, data, seed)
        pruning.step()
    pruning.finish()
    network.zero_grad()
    history = [
        (name, bool(out), [int(index) for index in indices])
        for name, out, indices in pruning.graph.pruning_history()
    ]
    network.to(memory_format=torch.channels_last)  # as a rebuilt network is: the same bits
    pruned = replace(architecture, pruned=[*architecture.pruned, *history])
    after = total_macs(network, architecture)
    return pruned, {"macs_before": before, "macs_after": after, "ratio_reached": before / after}


class _Pruning:
    """Removes channels from a network: what Torch-Pruning ranks lowest, as far as a ``Descent``
    takes it."""

    def __init__(
        self, network: Network, architecture: Architecture, scores: Scores, limits: Limits
    ) -> None:
        network.requires_grad_(True)
        self.scores = scores
        self.pruner = tp.pruner.BasePruner(
            network,
            architecture.example(),
            scores,
            global_pruning=not scores.uniform,
            pruning_ratio=1.0,
            iterative_steps=STEPS,
            ignored_layers=limits.ignored(network),
            isomorphic=scores.isomorphic,
            output_transform=outputs,
        )
        self.graph = self.pruner.DG
        self.reach = Reach(network, architecture, self.graph, limits)
        self.number = {root: number for number, root in enumerate(self.reach.roots)}

    def aim(self, ratio: float, tolerance: float) -> Descent:
        """Set the target; raises ``UserError`` where it is out of reach."""
        self.descent = Descent(self.reach, ratio, tolerance)
        return self.descent

    def step(self) -> None:
        """Remove what Torch-Pruning finds weakest, until the target is reached."""
        for group in self.pruner.step(interactive=True):
            if self.descent.macs > self.descent.window.target:
                self._remove(group[0].dep.target.module, group[0].idxs)

    def finish(self) -> None:
        """Remove what Torch-Pruning never offers, the weakest first: it passes over groups in which
        all channels are below the threshold, as where their scores are equal."""
        while self.descent.macs > self.descent.window.high:
            weakest = {}
            for group in self.graph.get_all_groups(self.pruner.ignored_layers):
                root = group[0].dep.target.module
                channels = self.scores.weakest_first(root, range(len(self.scores(group))))
                fewer = [n for n in self.reach.choices[self.number[root]] if n < len(channels)]
                if fewer:
                    lost = channels[: len(channels) - fewer[-1]]
                    weakest[root] = self.scores.known[root][lost].mean().item(), lost
            roots = sorted(weakest, key=lambda root: weakest[root][0])
            moved = any(self._remove(root, weakest[root][1]) for root in roots)
            assert moved, "the goal lies ahead"

    def _remove(self, root: nn.Module, channels: Sequence[int]) -> bool:
        """Remove the weakest of these channels of a group, as many as may go; whether any may."""
        count = self.descent.narrow(self.number[root], len(channels))
        if count:
            removed = sorted(self.scores.weakest_first(root, channels)[:count])
            handler = self.graph.get_pruner_of_module(root).prune_out_channels
            # not group.prune(indices), which writes the step into the history twice
            self.graph.get_pruning_group(root, handler, removed).prune()
            self.scores.forget(root, removed)
        return count > 0
