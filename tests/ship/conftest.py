"""Runs to ship: one of each kind."""

from pathlib import Path

import pytest

from stagewise.runs.prune import prune_run
from stagewise.runs.start import Inputs
from stagewise.study.spec import PruneSpec

PRUNING = {
    "network": {"network": "resnet8", "width": 4},
    "seed": 0,
    "data": {"task": "all", "images": "few"},
    "criterion": "l2",
    "ratio": 1.5,
    "min_channels": 1,
    "min_share": 0.0,
    "tolerance": 0.5,
    "threads": 1,
}


@pytest.fixture(scope="session")
def runs(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, parents: dict[str, Path]
) -> dict[str, Path]:
    """Folders of runs of several kinds."""
    pruned = tmp_path_factory.mktemp("pruned") / "run"
    spec = PruneSpec.read(PRUNING)
    prune_run(spec, Inputs(prepared, {"init": parents["student"]}), pruned, code="")
    given = {"plain": parents["student"], "exits": parents["teacher.exits"]}
    return {**{name: path.parent for name, path in given.items()}, "pruned": pruned}
