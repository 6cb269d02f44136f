"""How wide a student without exits must be to cost as much as the one with exits.

Planning has no torch, so the width stands in the config; this finds it.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from stagewise.models.cost import total_macs
from stagewise.models.store import Architecture, build
from stagewise.runs.fits import architecture_of
from stagewise.study.images import DataSize
from stagewise.study.planned import Plan
from stagewise.study.spec import TrainSpec


def macs(architecture: Architecture) -> int:
    """MACs of an architecture, whose weights are never made."""
    with torch.device("meta"):
        return total_macs(build(architecture, 0), architecture)


def widened(student: Architecture, target: int) -> Architecture:
    """The narrowest student of at least its own width that takes no fewer MACs than ``target``: one
    that took fewer, if nearer, would leave open what the rest is worth."""
    while macs(student) < target:
        wider = {**student.options, "width": student.options["width"] + 1}
        student = replace(student, options=wider)
    return student


def wide_students(plan: Plan, data: DataSize) -> Iterator[str]:
    """A line for each pair with exits: the config's key, its value, and both MACs."""
    for pair in plan.config.multi_exit.pairs:
        specs = {
            run.arm: run.spec
            for run in plan.step("multi_exit")
            if run.labels["pair"] == pair and isinstance(run.spec, TrainSpec) and run.spec.exits
        }
        if specs:
            first = next(iter(specs.values()))
            with_exits = architecture_of(specs.get(f"multi_exit/{pair}.mskd", first), data)
            target = macs(with_exits)
            found = widened(replace(with_exits, exits=None, places=[]), target)
            name, width, own = found.network, found.options["width"], macs(found)
            yield (
                f"pairs.{pair}.wide: {{network: {name}, width: {width}}}  # {own:,} MACs, with"
                f" exits {target:,} ({100 * (own / target - 1):+.1f} %)"
            )
