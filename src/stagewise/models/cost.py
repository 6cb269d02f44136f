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

    def count(name: str, layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # a transposed convolution spreads each input instead of gathering for each output
            end = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
            found[name] = end.numel() * layer.weight[0].numel()

        return hook

    handles = [
        module.register_forward_hook(count(name, module))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
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

    Exit k counts what runs for its answer alone: the backbone up to its stage and its own head. A
    network with one exit has the row ``final``; one with several ends with ``ensemble``,
    everything, and its rows have ``stage``, where the exit stands, and ``cumulative_parameters``
    and ``cumulative_macs`` too: of an early exit that is reached one after the other, so that the
    heads before it have run. Exits are numbered from 1 in any places.
    """
    macs = layer_macs(network, architecture)
    parameters = {name: p.numel() for name, p in network.named_parameters()}

    def counted(prefixes: tuple[str, ...]) -> dict[str, int]:
        return {
            name: sum(n for key, n in of_layer.items() if key.startswith(prefixes))
            for name, of_layer in (("parameters", parameters), ("macs", macs))
        }

    if not isinstance(network, MultiExit):
        return [{"exit": "final", **counted(("",))}]
    rows: list[dict[str, str | int]] = []
    for number, place in enumerate(network.places, start=1):
        alone, sequential = _prefixes(network, place)
        rows.append({"exit": str(number), **counted(alone), **_cumulative(counted(sequential))})
        rows[-1]["stage"] = network.stages[place - 1]
    everything = counted(("",))
    return [*rows, {"exit": "ensemble", **everything, **_cumulative(everything)}]


def _cumulative(counts: dict[str, int]) -> dict[str, int]:
    return {f"cumulative_{name}": count for name, count in counts.items()}


def _prefixes(network: MultiExit, place: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Prefixes of the names of what the exit at a stage runs, alone and after those before it."""
    heads = [f"exits.{at - 1}." for at in network.heads_at if at <= place]
    if place == len(network.stages):
        return ("backbone.",), ("backbone.", *heads)
    run = [f"backbone.{name}." for name in ("stem", *network.stages[:place])]
    return (*run, heads[-1]), (*run, *heads)
