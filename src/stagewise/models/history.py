"""A pruning history as plain JSON, and the network that it makes of the dense one.

An entry is ``[layer, whether its output channels were removed, their numbers]``, the numbers
counted at the moment of removal; Torch-Pruning removes the channels of all coupled layers along
with it.
"""

from typing import Any

from torch import Tensor

from stagewise.models.features import Features, Network

History = list[tuple[str, bool, list[int]]]


def outputs(features: Features) -> list[Tensor]:
    """The tensors that a dependency graph is traced from."""
    return [features.logits, *features.exits]


def replay(network: Network, example: Tensor, history: History) -> None:
    """Remove from ``network``, in place, what ``history`` says; ``example``: (2, C, H, W).

    Raises:
        ValueError: an entry is malformed, names no layer, or removes what is not there.
    """
    import torch_pruning as tp

    network.requires_grad_(True)  # the graph is traced through autograd
    graph = tp.DependencyGraph().build_dependency(network, example, output_transform=outputs)
    layers = {
        name: module for name, module in network.named_modules() if module in graph.module2node
    }
    for entry in history:
        name, out, indices = _entry(entry)
        if name not in layers:
            raise ValueError(f"pruned: no layer '{name:.40}' in this network")
        count = graph.get_out_channels if out else graph.get_in_channels
        channels = count(layers[name])
        if not set(indices) < set(range(channels)):
            raise ValueError(f"pruned: not all of these are among {channels} channels of '{name}'")
        graph.load_pruning_history([(name, out, indices)])


def _entry(entry: Any) -> tuple[str, bool, list[int]]:
    """An entry of the right types, its numbers distinct."""
    if isinstance(entry, list | tuple) and len(entry) == 3:
        name, out, indices = entry
        numbers = indices if isinstance(indices, list) else []
        whole = all(type(number) is int for number in numbers)
        named = isinstance(name, str) and isinstance(out, bool)
        if named and whole and 0 < len(numbers) == len(set(numbers)):
            return name, out, numbers
    raise ValueError(f"pruned: {entry!r:.60} is no [layer, true or false, channel numbers]")
