"""Files of two studies: parents of one never serve a run of another."""

from pathlib import Path
from typing import Any

import helpers
import pytest
from damaged import refused
from helpers import CE, KD, run_spec

from stagewise.errors import UserError
from stagewise.runs.prune import prune_run
from stagewise.runs.train import Inputs
from stagewise.study.spec import Images, PruneSpec


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of a study with larger images."""
    return helpers.toy_data(tmp_path_factory.mktemp("foreign") / "prepared", image_size=12)


@pytest.mark.parametrize(
    ("spec", "role"),
    [
        (run_spec(**KD), "teacher"),
        (run_spec(init="parent"), "init"),
        (run_spec(init="shape"), "init"),
        (run_spec(init="features"), "init"),
    ],
)
def test_a_parent_of_another_study_leaves_no_run(
    tmp_path: Path, foreign: Path, model: Path, spec: dict[str, Any], role: str
) -> None:
    out = tmp_path / "out"
    refused(model, lambda: helpers.train(spec, foreign, out, **{role: model}), "do not fit")
    assert not out.exists()


def test_a_network_of_another_study_is_not_pruned(
    tmp_path: Path, foreign: Path, model: Path
) -> None:
    spec = PruneSpec(
        network={"network": "resnet8", "width": 4},
        seed=0,
        data=Images(task="all", images="few"),
        criterion="l2",
        ratio=2.0,
        min_channels=1,
        min_share=0.0,
        tolerance=0.1,
        threads=1,
    )
    inputs = Inputs(foreign, {"init": model})
    refused(model, lambda: prune_run(spec, inputs, tmp_path / "out", code=""), "do not fit")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spec", "flag"), [(run_spec(**KD), "--teacher"), (run_spec(**CE, init="parent"), "--init")]
)
def test_a_run_without_its_parent_is_refused(
    tmp_path: Path, prepared: Path, spec: dict[str, Any], flag: str
) -> None:
    with pytest.raises(UserError, match=f"{flag}: this run needs .* give {flag} FILE"):
        helpers.train(spec, prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()
