"""The table of all networks in ``docs/zoo.md``, counted on torch's ``meta`` device."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from stagewise import catalogue
from stagewise.models.cost import total_macs
from stagewise.models.store import Architecture, skeleton

CLASSES, CHANNELS = 100, 3
SIZES = (32, 64)
HEADER = (
    "Network",
    "Parameters",
    *(f"MACs at {size} px" for size in SIZES),
    "Stem",
    "Stages",
    "`width`",
    "Pruning",
    "ImageNet start",
)

PREAMBLE = f"""# The zoo

Every network of both papers and of the CRD benchmark. `make zoo` writes this page; nothing in it is
typed by hand. Parameters and multiply-adds (MACs) are those of the published width with {CLASSES}
classes and {CHANNELS} channels; `width` scales all channels of a network. Stem and stages are the
shapes of the taps `stem`, `stage1`, … (channels × pixels) at {SIZES[0]} pixels; each has its
`.pre`, and on request each block a tap of its own (`stage1.0`, …). An exit can stand on every
stage. Networks whose name ends in `-imagenet` have ImageNet's stem; those in `-crd` are the
benchmark's own variants, which differ from the networks that others call by the same name.
"""


@dataclass(frozen=True)
class Facts:
    """Of a network of the published width: ``parameters``; ``macs`` by image size; ``taps`` at 32
    pixels, name → channels and pixels."""

    parameters: int
    macs: dict[int, int]
    taps: dict[str, tuple[int, int]]


@cache
def facts(name: str) -> Facts:
    """Facts of the network ``name``, counted once a process."""
    options = catalogue.network_options(name)
    shapes = {size: Architecture(name, options, CLASSES, CHANNELS, size) for size in SIZES}
    first = shapes[SIZES[0]]
    network = skeleton(first)
    macs = {size: total_macs(network, shape) for size, shape in shapes.items()}
    with torch.no_grad():
        taps = network(first.example().to("meta")).taps
    return Facts(
        sum(p.numel() for p in network.parameters()),
        macs,
        {tap: (value.shape[1], value.shape[2]) for tap, value in taps.items()},
    )


def table() -> str:
    """The page: a table for each file of networks."""
    families: dict[str, list[str]] = {}
    for name, path in catalogue.networks().items():
        families.setdefault(path.stem, []).append(name)
    parts = [PREAMBLE]
    for family, names in families.items():
        source = catalogue.network_fact(names[0], "SOURCE")
        link = f"[{family}.py](../src/stagewise/models/{family}.py)"
        lines = [_line(HEADER), _line(["---"] * len(HEADER)), *map(_line, map(_cells, names))]
        parts.append(f"## {link}\n\n{source}.\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str) -> list[str]:
    """A network's row."""
    known = facts(name)
    stem, *stages = (
        "×".join(map(str, shape)) for tap, shape in known.taps.items() if not tap.endswith(".pre")
    )
    weights = catalogue.network_fact(name, "IMAGENET")
    return [
        f"`{name}`",
        _millions(known.parameters, 3),
        *(_millions(macs, 1) for macs in known.macs.values()),
        stem,
        ", ".join(stages),
        str(catalogue.network_options(name)["width"]),
        "no" if catalogue.network_fact(name, "UNPRUNABLE") else "yes",
        weights[0].partition("_Weights")[0] if weights else "–",
    ]


def _millions(count: int, digits: int) -> str:
    return f"{count / 1e6:,.{digits}f} M"
