"""Which of a study's pruning ratios cannot be reached: found from shapes alone, on torch's ``meta``
device, before anything trains."""

from collections.abc import Iterator

import torch
import torch_pruning as tp

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, build
from stagewise.pruning.reach import Limits, Reach
from stagewise.study.config import Config
from stagewise.study.config.compression import Pruning
from stagewise.study.images import DataSize
from stagewise.study.steps.pruning import chain_of


def unreachable(config: Config, data: DataSize) -> Iterator[str]:
    """A line for each ratio that no choice of channels reaches: key, value, why, and the mend."""
    for key, block in config.prunings:
        try:
            reach = reach_of(shape_of(config, block, data), limits_of(config, block))
        except UserError as error:
            yield f"{key}.{error}"
            continue
        for number, ratio in enumerate(block.ratios):
            if why := reach.why_not(ratio, config.recovery.tolerance):
                yield f"{key}.ratios.{number}: {ratio:g} cannot be reached, as {why}"


def shape_of(config: Config, block: Pruning, data: DataSize) -> Architecture:
    """The students that a block prunes."""
    student = config.pairs[block.pair].student
    options = catalogue.network_options(student.network) | student.options
    classes = data.classes[chain_of(config, block).task]
    return Architecture(student.network, options, classes, data.channels, data.size)


def limits_of(config: Config, block: Pruning) -> Limits:
    """What a block leaves of every layer."""
    usual = config.recovery
    return Limits(usual.min_channels, usual.min_share, block.round_to, block.keep)


def reach_of(architecture: Architecture, limits: Limits) -> Reach:
    """How far an architecture can be pruned.

    Raises:
        UserError: a layer to keep is not there.
    """
    with torch.device("meta"):
        network = build(architecture, 0).requires_grad_(True)
        example = architecture.example()
        graph = tp.DependencyGraph().build_dependency(network, example, output_transform=outputs)
        return Reach(network, architecture, graph, limits)
