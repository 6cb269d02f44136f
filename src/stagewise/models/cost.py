"""What a network costs: parameters, multiply-adds (MACs) of one image, each exit on its own."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stagewise.models.exits import MultiExit
from stagewise.models.features import Network
from stagewise.models.store import Architecture


def layer_macs(network: Network, architecture: Architecture) -> dict[str, int]:
    """Layer name → MACs of its convolution or matrix product for one image.

    Counted by hooks on one forward pass: torch's own counter starts the compiler (1.3 s a process).
    """
    found: dict[str, int] = {}

    def count(name: str, layer: nn.Conv2d | nn.Linear) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = output.numel() * layer.weight[0].numel()

        return hook

    handles = [
        module.register_forward_hook(count(name, module))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    network.eval()
    with torch.no_grad():
        network(architecture.example(1).to(next(network.parameters()).device))
    for handle in handles:
        handle.remove()
    return found


def total_macs(network: Network, architecture: Architecture) -> int:
    """MACs of the whole network, all exits included, for one image."""
    return sum(layer_macs(network, architecture).values())


def costs(network: Network, architecture: Architecture) -> list[dict[str, str | int]]:
    """A row an exit: ``exit``, ``parameters``, ``macs``.

    Exit k counts what runs for its answer alone: the backbone up to stage k and its own head. A
    network with one exit has the row ``final``; one with several ends with ``ensemble``,
    everything.
    """
    macs = layer_macs(network, architecture)
    parameters = {name: p.numel() for name, p in network.named_parameters()}
    rows: list[dict[str, str | int]] = []
    for label, prefixes in _prefixes(network).items():
        rows.append(
            {
                "exit": label,
                "parameters": sum(n for key, n in parameters.items() if key.startswith(prefixes)),
                "macs": sum(n for key, n in macs.items() if key.startswith(prefixes)),
            }
        )
    return rows


def _prefixes(network: Network) -> dict[str, tuple[str, ...]]:
    """Exit → prefixes of the names of what it runs."""
    if not isinstance(network, MultiExit):
        return {"final": ("",)}
    found: dict[str, tuple[str, ...]] = {}
    run = ["backbone.stem."]
    for number, stage in enumerate(network.stages[:-1]):
        run.append(f"backbone.{stage}.")
        found[str(number + 1)] = (*run, f"exits.{number}.")
    found[str(len(network.stages))] = ("backbone.",)
    found["ensemble"] = ("",)
    return found
