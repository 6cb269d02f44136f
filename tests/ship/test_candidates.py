"""Candidates are measured as files: right, large and fast as those are."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stagewise.analysis.records.candidates import COLUMNS, read_candidates
from stagewise.files import read_json
from stagewise.runs.folder import csv_text
from stagewise.ship.candidates import Contest
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan

BOTH = [{"pair": "resnet8", "form": form, "ratio": 1.5} for form in ("float32", "int8")]
CONFIG = {
    "study": "s",
    "seeds": [0],
    "data": {"source": "digits", "classes": 4},
    "teacher": {"network": "resnet8", "width": 4},
    "student": {"network": "resnet8", "width": 4},
    "evaluation": {"latency_repeats": 3},
    "target": {"macs": "1.5x", "round_to": 1, "candidates": BOTH},
    "recovery": {"min_share": 0.1, "min_channels": 1},
}


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, runs: dict[str, Path]
) -> tuple[list[dict[str, Any]], Path]:
    """Rows of a study whose reference is a plain run, and whose candidate a pruned one."""
    root = tmp_path_factory.mktemp("study")
    plan = make_plan(resolve_config(CONFIG))
    target = plan.config.target
    assert target is not None
    places = {target.whole("resnet8"): "plain", target.arms(target.candidates[0])[0]: "pruned"}
    for run in plan.runs.values():
        if run.arm in places:
            shutil.copytree(runs[places[run.arm]], root / run.path)
    folder = tmp_path_factory.mktemp("files")
    return Contest(plan, root, prepared, folder).rows(), root


def test_a_row_is_a_file_beside_the_reference(measured: tuple[Any, Path], tmp_path: Path) -> None:
    rows, _ = measured
    assert [(row["role"], row["form"]) for row in rows] == [
        ("reference", "float32"),
        ("candidate", "float32"),
        ("candidate", "int8"),
    ]
    (tmp_path / "candidates.csv").write_text(csv_text(rows))
    runs = pd.DataFrame({"path": [row["path"] for row in rows]})
    assert {*COLUMNS} == {*read_candidates(tmp_path / "candidates.csv", runs)}


def test_files_are_as_right_as_the_runs_that_they_are_of(measured: tuple[Any, Path]) -> None:
    rows, root = measured
    for row in rows:
        final = read_json(root / row["path"] / "record.json")["final"]
        if row["form"] == "float32":
            for name in ("validation_accuracy", "test_accuracy"):
                assert row[name] == pytest.approx(final[name])
    assert rows[2]["test_accuracy"] == pytest.approx(rows[1]["test_accuracy"], abs=15)


def test_sizes_are_those_of_the_networks(measured: tuple[Any, Path]) -> None:
    (reference, pruned, small), _ = measured
    assert pruned["macs"] == small["macs"] < reference["macs"]
    assert pruned["parameters"] == small["parameters"] < reference["parameters"]
    for row in measured[0]:
        assert 0 < row["latency_low"] <= row["latency"] <= row["latency_high"]
        assert row["bytes"] > 0
