"""Memory that a job is given before it starts."""

import math
from pathlib import Path

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.images import data_size
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import TrainSpec

USUAL_MB = 2000
"""Megabytes of a job whose method holds nothing of the images."""


def memory_mb(plan: Plan, runs: list[PlannedRun], summary: Path) -> dict[str, int]:
    """Path → megabytes of the ``runs`` that take more than ``USUAL_MB``: those whose method keeps
    numbers of each training image, or compares a batch with all of them. ``summary`` is that of the
    prepared data, which may not be there yet: then nobody may know how many images there are, and
    no run takes more."""
    keeping = {
        run.path: run.spec
        for run in runs
        if isinstance(run.spec, TrainSpec) and _numbers(run.spec, 1)
    }
    if not keeping:
        return {}
    try:
        size = data_size(plan.config, summary)
    except UserError:
        return {}
    return {
        path: USUAL_MB + math.ceil(4 * _numbers(spec, size.training(spec.data)) / 1e6)
        for path, spec in keeping.items()
    }


def _numbers(spec: TrainSpec, images: int) -> int:
    """Float32 numbers that a run's method holds, of so many training images."""
    needs = catalogue.method_needs(spec.method["method"])
    batch = min(spec.training.batch_size, images)
    return images * (needs.kept + batch * needs.compared)
