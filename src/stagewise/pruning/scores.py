"""What a criterion says of a network's channels while they are removed."""

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stagewise import catalogue
from stagewise.data.batches import TaskData
from stagewise.models.features import Network

IMAGES = 512
"""Training images, at most, whose loss has gradients for a criterion that asks for them."""


class Scores:
    """Scores of groups of coupled channels, as Torch-Pruning asks for them; the lowest go first.

    With ``one_shot`` a channel keeps the score that it had at first. A group that the criterion
    cannot score (batch-norm scales of layers without batch norm) is as good as the mean; channels
    without any weight left, which normalisation divides by zero, are the weakest.
    """

    def __init__(self, criterion: str, *, one_shot: bool = False) -> None:
        module = importlib.import_module(catalogue.module_name(catalogue.criteria()[criterion]))
        self.importance = module.importance()
        self.uniform = bool(catalogue.criterion_fact(criterion, "UNIFORM"))
        self.isomorphic = bool(catalogue.criterion_fact(criterion, "ISOMORPHIC"))
        self.one_shot = one_shot
        self.known: dict[nn.Module, Tensor] = {}

    def __call__(self, group: Any) -> Tensor:
        """Score of each channel of a group."""
        root, count = group[0].dep.target.module, len(group[0].idxs)
        if not (self.one_shot and root in self.known):
            found = self.importance(group)
            self.known[root] = torch.ones(count) if found is None else found.nan_to_num(nan=0.0)
        return self.known[root]

    def weakest_first(self, root: nn.Module, channels: Sequence[int]) -> list[int]:
        """Channels of a group in the order in which they go."""
        scores = self.known[root].tolist()
        return sorted(channels, key=lambda channel: (scores[channel], channel))

    def forget(self, root: nn.Module, channels: Sequence[int]) -> None:
        """These channels are gone."""
        kept = torch.ones(len(self.known[root]), dtype=torch.bool)
        kept[list(channels)] = False
        self.known[root] = self.known[root][kept]


def loss_gradients(network: Network, data: TaskData, seed: int) -> None:
    """Fill in each weight's gradient: of the labels' loss of training images, all exits'."""
    count = len(data.train.labels)
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:IMAGES]
    network.eval()
    network.zero_grad()
    features = network(data.normalise(data.train.images[chosen]))
    for logits in features.exits or (features.logits,):
        cross_entropy(logits, data.train.labels[chosen]).backward(retain_graph=True)
