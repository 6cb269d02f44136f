"""Networks whose weights do not matter yet, as files: how large they are, and how fast here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from stagewise.models.cost import total_macs
from stagewise.models.features import Network
from stagewise.models.store import Architecture, build
from stagewise.pruning.prune import prune
from stagewise.pruning.reach import Limits
from stagewise.ship.files import traced, write_int8, write_onnx
from stagewise.ship.parts import Whole
from stagewise.ship.thresholds import NEVER
from stagewise.study.config.target import CRITERION

SHOWN = 64
"""Random images on which the ranges of eight bits are measured: speed does not depend on them."""
UNTOLD = {"exit": None, "threshold": NEVER}
"""Metadata of files that nobody keeps."""


@dataclass(frozen=True)
class ShapeFile:
    """The file of a network, and what can be said of it without a clock."""

    path: Path
    macs: int
    parameters: int

    @property
    def bytes(self) -> int:
        """Of the file."""
        return self.path.stat().st_size


def thinned(
    architecture: Architecture, ratio: float, limits: Limits, tolerance: float
) -> tuple[Network, Architecture]:
    """New weights, pruned as candidates are; 1 leaves all channels.

    Raises:
        UserError: the ratio cannot be reached.
    """
    network = build(architecture, 0).eval()
    if ratio == 1:
        return network, architecture
    pruned, _ = prune(
        network,
        architecture,
        criterion=CRITERION,
        ratio=ratio,
        limits=limits,
        tolerance=tolerance,
        seed=0,
    )
    return network.eval(), pruned


def write_shape(
    network: Network, architecture: Architecture, forms: Sequence[str], folder: Path
) -> dict[str, ShapeFile]:
    """Files of a network by form: always the one in 32 bits, of which the one in eight is made."""
    module = Whole(network.requires_grad_(False), torch.nn.Identity()).eval()
    images = torch.randn(SHOWN, *architecture.example().shape[1:])
    plain, small = folder / "model.onnx", folder / "model.int8.onnx"
    write_onnx(traced(module, (images[:2],)), plain, UNTOLD)
    files = {"float32": plain}
    if "int8" in forms:
        write_int8(plain, small, [(images,)], UNTOLD)
        files["int8"] = small
    macs = total_macs(network, architecture)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {form: ShapeFile(path, macs, parameters) for form, path in files.items()}
