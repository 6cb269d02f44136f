"""Building networks, and the file that holds one: safetensors with its architecture as metadata."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import prod
from operator import le
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.files import atomic, canonical_json, regular_size
from stagewise.models.exits import CutNetwork, MultiExit
from stagewise.models.features import Network
from stagewise.models.history import History, replay

LIMITS = {"classes": (2, 100_000), "channels": (1, 16), "image_size": (1, 512)}
"""What a weight file may ask for; more is refused before any memory is taken."""

LARGEST, PRUNED_TO, CUT_TO, SMALL = 2**27, 256, 1024, 2**20
"""Parameters of the largest network that a file may say it was pruned or cut from (half a GiB), or
so many times those that are there, but ``SMALL`` in any case."""

LARGEST_TRACE = 2**29
"""Values of all layers' outputs when such a network is traced (2 GiB)."""

LARGEST_HEADER = 16 * 2**20
"""Bytes of a weight file's header, which holds names, shapes and the architecture."""

OPTIONAL = ("part", "places", "cut")
"""Fields of an architecture that a file states only where they say something."""

PART = "part."
"""What the names of a part's tensors begin with."""


@dataclass(frozen=True)
class Architecture:
    """All that is needed to rebuild a network's shape: no code, no pickles.

    ``exits`` is the head of its exits, ``places`` the stages that have one where not all do, and
    ``cut`` the stage of the exit that the network was cut at (see ``models.exits``). ``pruned`` is
    the history of what pruning removed (see ``models.history``). ``part``: the method whose
    learnable parts were trained on the network, frozen, and stand beside it in its file. The file
    states these last three only where they say something.
    """

    network: str
    options: dict[str, int]
    classes: int
    channels: int
    image_size: int
    exits: str | None = None
    pruned: History = field(default_factory=list)
    part: dict[str, Any] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    cut: int = 0

    def example(self, batch: int = 2) -> Tensor:
        """A zero batch of the right shape: (batch, channels, size, size)."""
        return torch.zeros(batch, self.channels, self.image_size, self.image_size)


BUILDING = Lock()
"""Networks and methods draw their weights from torch's one generator: threads take turns."""


def seeded(seed: int, purpose: str) -> None:
    """Seed torch for one purpose, so that arms that share it draw the same numbers for it."""
    number = int.from_bytes(purpose.encode(), "big") % (2**31)
    torch.manual_seed((seed * 1_000_003 + number) % (2**63))


def build(architecture: Architecture, seed: int) -> Network:
    """A new network in the channels-last layout, its weights drawn from ``seed``.

    Backbone and exits draw from streams of their own: the backbone of a multi-exit student starts
    from the same weights as the single-exit student with the same seed.
    """
    backbone = _backbone(architecture)
    network = backbone
    if architecture.exits:
        network = MultiExit(
            backbone, architecture.exits, architecture.example(), architecture.places
        )
        seeded(seed, "exits")
        network.initialise()
    if architecture.pruned:
        replay(network, architecture.example(), architecture.pruned)
    seeded(seed, "network")
    backbone.initialise()
    if architecture.cut:
        network = cut_at(network, architecture.cut)
    return network.to(memory_format=torch.channels_last)


def cut_at(network: Network, place: int) -> CutNetwork:
    """What the early exit at stage ``place`` needs of a network, which is taken apart.

    Raises:
        ValueError: the network has no such exit.
    """
    if not isinstance(network, MultiExit) or place not in network.heads_at:
        raise ValueError(f"cut: there is no exit at stage {place}")
    return CutNetwork(network, place)


def skeleton(architecture: Architecture) -> Network:
    """A backbone on torch's ``meta`` device: shapes without numbers, which take no memory."""
    with torch.device("meta"):
        return _backbone(architecture)


def _backbone(architecture: Architecture) -> Network:
    path = catalogue.network_file(architecture.network)
    assert path is not None, architecture.network
    factory = importlib.import_module(catalogue.module_name(path)).build
    backbone: Network = factory(
        architecture.network, architecture.classes, architecture.channels, **architecture.options
    )
    return backbone


def new_classifier(network: Network, classes: int, seed: int, start: str = "family") -> None:
    """Replace the classifier by a new one for ``classes`` classes.

    ``start``: as its ``family`` starts them; as torch starts a ``linear`` layer, uniform within
    1/√C; or with all weights ``zero``, so that no gradient goes into the features at first.
    """
    seeded(seed, "classifier")
    network.classifier = nn.Linear(network.classifier.in_features, classes)
    STARTS[start](network, network.classifier)


def _zeros(_: Network, layer: nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)


STARTS: dict[str, Callable[[Network, nn.Linear], None]] = {
    "family": lambda network, layer: network.start_classifier(layer),
    "linear": lambda network, layer: None,
    "zero": _zeros,
}
"""How a new classifier starts → what makes its draw by torch so."""


def save_network(
    network: Network,
    architecture: Architecture,
    path: Path | str,
    part: Mapping[str, Tensor] | None = None,
) -> None:
    """Write weights and architecture atomically; equal networks give equal bytes.

    ``part``: tensors of ``architecture.part``.
    """
    tensors = dict(network.state_dict())
    tensors |= {f"{PART}{name}": tensor for name, tensor in (part or {}).items()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    stated = {
        name: value for name, value in asdict(architecture).items() if value or name not in OPTIONAL
    }
    # One key only: safetensors writes several in an order that differs from process to process.
    metadata = {"architecture": canonical_json(stated)}
    with atomic(path, sum(tensor.nbytes for tensor in tensors.values())) as temporary:
        save_file(tensors, temporary, metadata)


def load_architecture(path: Path | str) -> Architecture:
    """The architecture that a weight file states.

    Raises:
        UserError: the file is missing, truncated or not one of ours.
    """
    try:
        _check_file(path)
        with safe_open(str(path), "pt") as stream:
            fields = json.loads((stream.metadata() or {})["architecture"])
        architecture = Architecture(**fields)
        _check(architecture)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weight file; run the step that writes it") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path}: not a weight file of this project ({error}); delete it and run again"
        ) from None
    return architecture


def _check_file(path: Path | str) -> None:
    """A regular file with a header of a sound size; raises ``OSError`` or ``ValueError``."""
    regular_size(path)
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
    if size > LARGEST_HEADER:
        raise ValueError(f"its header has {size} bytes, at most {LARGEST_HEADER} are read")


def _check(architecture: Architecture) -> None:
    """Types and ranges of what a file states; raises ``ValueError``."""
    if not isinstance(architecture.network, str):
        raise ValueError(f"network: {architecture.network!r} is no name")
    if not isinstance(architecture.exits, str | None):
        raise ValueError(f"exits: {architecture.exits!r} is no name")
    if not (isinstance(architecture.places, list) and all_whole(architecture.places)):
        raise ValueError(f"places: {architecture.places!r:.40} are no numbers of stages")
    if architecture.places and not architecture.exits:
        raise ValueError(f"places: {architecture.places!r:.40}, but there are no exits")
    if not all_whole([architecture.cut]):
        raise ValueError(f"cut: {architecture.cut!r:.40} is no number of a stage")
    if not isinstance(architecture.part, dict):
        raise ValueError(f"part: {architecture.part!r} is no method")
    if not isinstance(architecture.options, dict):
        raise ValueError(f"options: {architecture.options!r} are no options")
    numbers = {name: (getattr(architecture, name), limits) for name, limits in LIMITS.items()}
    for name, value in architecture.options.items():
        numbers[f"options.{name}"] = (value, (1, catalogue.LARGEST_OPTION))
    for name, (value, (least, most)) in numbers.items():
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{name}: {value!r:.40} is no whole number from {least} to {most}")


def all_whole(values: list[Any]) -> bool:
    """Whether values are whole numbers from 0."""
    return all(type(value) is int and value >= 0 for value in values)


def load_network(path: Path | str) -> tuple[Network, Architecture]:
    """Rebuild a network and fill in its weights; nothing in the file is ever executed.

    Raises:
        UserError: the file is broken, names an unknown network, or its weights do not fit.
    """
    architecture = load_architecture(path)
    if not catalogue.network_file(architecture.network):
        raise UserError(
            f"{path}: states an unknown network '{architecture.network:.40}'; delete it and run"
            " again, or use the version of this project that wrote it"
        )
    try:
        _check_sizes(path, architecture)
        network = build(architecture, seed=0)
        tensors = {n: t for n, t in load_file(path).items() if not n.startswith(PART)}
        for name, tensor in network.state_dict().items():
            if name in tensors and tensors[name].dtype != tensor.dtype:
                raise ValueError(f"'{name}' is of type {tensors[name].dtype}")
            if name in tensors and not tensors[name].isfinite().all():
                raise ValueError(f"'{name}' holds values that are not finite")
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: its weights do not fit its architecture ({reason}); delete it and run again"
        ) from None
    return network, architecture


def load_part(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What was trained on a file's network beside it: the method and its options, and its tensors;
    both empty where there is nothing.

    Raises:
        UserError: the file is broken, or names an unknown method.
    """
    entry = load_architecture(path).part
    if not entry:
        return {}, {}
    if entry.get("method") not in catalogue.methods():
        raise UserError(
            f"{path}: states an unknown method '{entry.get('method')!r:.40}'; delete it and run"
            " again, or use the version of this project that wrote it"
        )
    tensors = load_file(path)
    return entry, {n.removeprefix(PART): t for n, t in tensors.items() if n.startswith(PART)}


def _check_sizes(path: Path | str, architecture: Architecture) -> None:
    """The tensors in a file against its architecture; raises ``ValueError``."""
    backbone = skeleton(architecture)
    prefix, pruned = "backbone." if architecture.exits else "", bool(architecture.pruned)
    tensors = backbone.state_dict(prefix=prefix)
    if architecture.cut:
        kept = tuple(f"{prefix}{n}." for n in ("stem", *backbone.stages[: architecture.cut]))
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(kept)}
    there = 0
    with safe_open(str(path), "pt") as stream:
        for name, tensor in tensors.items():
            found, dense = stream.get_slice(name).get_shape(), list(tensor.shape)
            fewer = pruned and len(found) == len(dense) and all(map(le, found, dense))
            if found != dense and not fewer:
                raise ValueError(f"'{name}' has shape {found}, not {dense}")
            there += prod(found)
    if pruned or architecture.cut:
        _check_dense(backbone, architecture, there)


def _check_dense(backbone: Network, architecture: Architecture, there: int) -> None:
    """The network that one of ``there`` values was pruned or cut from; raises ``ValueError``."""
    count = sum(parameter.numel() for parameter in backbone.parameters())
    times = CUT_TO if architecture.cut else PRUNED_TO
    most = min(LARGEST, max(SMALL, times * there))
    if count > most:
        raise ValueError(f"made from {count} parameters, at most {most} are taken")
    example = architecture.example()
    layers = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    if sum(layer.out_channels for layer in layers) * example.numel() <= LARGEST_TRACE:
        return  # no layer's map is larger than the images: the trace is small without a look at it
    outputs: list[int] = []
    for layer in (module for module in backbone.modules() if not [*module.children()]):
        layer.register_forward_hook(lambda _, _inputs, output: outputs.append(output.numel()))
    with torch.no_grad():
        backbone(example.to("meta"))  # its first use alone takes seconds
    if sum(outputs) > LARGEST_TRACE:
        raise ValueError(
            f"made on images that fill {sum(outputs)} values, at most {LARGEST_TRACE} are taken"
        )


def with_exits(
    network: Network,
    architecture: Architecture,
    head: str,
    seed: int,
    places: Sequence[int] = (),
) -> tuple[Network, Architecture]:
    """The same network with new exits on its stages, or on those of ``places``."""
    seeded(seed, "exits")
    multi = MultiExit(network, head, architecture.example(), places)
    stated = replace(architecture, exits=head, places=[*places])
    return multi.to(memory_format=torch.channels_last), stated
