"""A pruning history as plain JSON, and the network that it makes of the dense one.

An entry is ``[layer, whether its output channels were removed, their numbers]``, the numbers
counted at the moment of removal; Torch-Pruning removes the channels of all coupled layers along
with it.
"""

from torch import Tensor

from stagewise.models.features import Features, Network

History = list[tuple[str, bool, list[int]]]


def outputs(features: Features) -> list[Tensor]:
    """The tensors that a dependency graph is traced from."""
    return [features.logits, *features.exits]


def replay(network: Network, example: Tensor, history: History) -> None:
    """Remove from ``network``, in place, what ``history`` says; ``example``: (2, C, H, W)."""
    import torch_pruning as tp

    network.requires_grad_(True)  # the graph is traced through autograd
    graph = tp.DependencyGraph().build_dependency(network, example, output_transform=outputs)
    graph.load_pruning_history(history)
