"""The table of all networks in ``docs/zoo.md``, counted on torch's ``meta`` device."""

from collections.abc import Iterator

from stagewise import catalogue
from stagewise.evaluation.cost import total_macs
from stagewise.models.features import Network
from stagewise.models.imagenet import WEIGHTS
from stagewise.models.store import Architecture, skeleton

CLASSES, CHANNELS = 100, 3
HEADER = (
    "Network",
    "Parameters",
    "MACs at 32 px",
    "MACs at 64 px",
    "Stem",
    "Stages",
    "Width",
    "Pruning",
    "ImageNet start",
)

PREAMBLE = f"""# The zoo

Every network of both papers and of the CRD benchmark. `make zoo` writes this page; nothing in it is
typed by hand. Parameters and multiply-adds (MACs) are those of the published width with {CLASSES}
classes and {CHANNELS} channels; `width` scales all channels of a network. Stem and stages are the
names and shapes of the taps (channels × pixels) at 32 pixels; each has its `.pre`, and on request
each block a tap of its own (`stage1.0`, …). An exit can stand on every stage. Networks whose name
ends in `-imagenet` have ImageNet's stem; those in `-crd` are the benchmark's own variants, which
differ from the networks that others call by the same name.
"""


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


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str) -> list[str]:
    """A network's row."""
    width = catalogue.network_options(name)["width"]
    small, large = (
        Architecture(name, {"width": width}, CLASSES, CHANNELS, size) for size in (32, 64)
    )
    network = skeleton(small)
    parameters = sum(p.numel() for p in network.parameters())
    stem, *stages = _shapes(network, small)
    return [
        f"`{name}`",
        _millions(parameters, 3),
        _millions(total_macs(network, small), 1),
        _millions(total_macs(network, large), 1),
        stem,
        ", ".join(stages),
        str(width),
        "no" if catalogue.network_fact(name, "UNPRUNABLE") else "yes",
        WEIGHTS[name][0].partition("_Weights")[0] if name in WEIGHTS else "–",
    ]


def _shapes(network: Network, architecture: Architecture) -> Iterator[str]:
    """Channels × pixels of the stem's tap and of each stage's."""
    taps = network(architecture.example().to("meta")).taps
    for name in ("stem", *network.stages):
        yield f"{taps[name].shape[1]}×{taps[name].shape[2]}"


def _millions(count: int, digits: int) -> str:
    return f"{count / 1e6:,.{digits}f} M"
