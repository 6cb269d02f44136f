"""Kept evidence is judged again from its records, and says what they cannot carry."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.judgement import COLUMNS
from stagewise.analysis.publish.again import judge_again, kept_results
from stagewise.errors import UserError

Script = Callable[..., None]
NUMBERS = ["mean", "sd", "low", "high", "p_t", "p_sign_flip", "mde", "p_equivalence"]


@pytest.fixture
def evidence(published: Path, tmp_path: Path, run_script: Script) -> Path:
    """A finished study, kept."""
    results = tmp_path / "results/toy"
    shutil.copytree(published, results, ignore=shutil.ignore_patterns("runs"))
    shutil.copytree(published / "runs", tmp_path / "runs")
    # Records say the accuracy that was measured, here as everywhere but in made-up runs.
    summary = pd.read_csv(results / "summary.csv", dtype={"exit": str})
    main = summary[summary["exit"].isin(["final", "ensemble"])]
    main = main.drop_duplicates("path").set_index("path")  # two networks are no run's own answer
    for file in (tmp_path / "runs").rglob("record.json"):
        record, row = json.loads(file.read_text()), main.loc[str(file.parent.relative_to(tmp_path))]
        record["final"] |= {name: row[name] for name in ("test_accuracy", "validation_accuracy")}
        file.write_text(json.dumps(record))
        timing = {"total_seconds": 90.0, "training_seconds": 80.0, "cpu_seconds": {}, "epochs": 9}
        timing |= {"device": "x86_64", "python": "3.11.2", "torch": "2.14.0"}
        (file.parent / "timing.json").write_text(json.dumps(timing))
    run_script(tmp_path, "evidence", "--results", "results/toy", "--command", "snakemake -q")
    return tmp_path / "evidence/toy"


def test_nothing_changes_where_no_rule_did(
    evidence: Path, run_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pd.read_csv(evidence / "claims.csv").set_index(["claim", "contrast", "pair"])
    run_script(evidence.parents[1], "judge_again", "evidence/toy")
    after = pd.read_csv(evidence / "claims.csv").set_index(["claim", "contrast", "pair"])
    pd.testing.assert_frame_equal(after[NUMBERS], before[NUMBERS])
    same = ["claim_verdict", "verdict", "reason", "missing", "p_holm"]
    pd.testing.assert_frame_equal(after[same], before[same])
    kept = after[after["note"].str.startswith("judged by kept statistics", na=False)]
    assert set(kept.index.get_level_values("claim")) == {"B1a", "B1b", "B2", "B4", "B5"}
    text = (evidence / "README.md").read_text()
    assert "`snakemake -q` does it again" in text
    assert "nan" not in text
    assert (evidence / "tables/study.md").read_text().count("\n## ") == len(catalogue.tables())
    once = {path: path.read_bytes() for path in evidence.rglob("*") if path.is_file()}
    run_script(evidence.parents[1], "judge_again", "evidence/toy")
    assert {path: path.read_bytes() for path in once} == once


def test_an_older_file_of_claims_is_enough(evidence: Path, run_script: Script) -> None:
    kept = pd.read_csv(evidence / "claims.csv")
    older = kept.drop(columns=["rate", "missing", "null", "note"])
    gone = (older["claim"] == "B4") & (older["role"] == "headline")
    older[~gone].to_csv(evidence / "claims.csv", index=False)
    run_script(evidence.parents[1], "judge_again", "evidence/toy")
    claims = pd.read_csv(evidence / "claims.csv")
    assert list(claims.columns) == COLUMNS
    row = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")].iloc[0]
    assert (row["verdict"], row["n"]) == ("not testable here", 0)
    assert row["reason"] == "its records lack the outputs of multi_exit/resnet.oto that it takes"
    beside = claims[(claims["claim"] == "B2") & (claims["role"] == "headline")].iloc[0]
    assert np.isfinite(beside["mean"])


def test_a_run_that_diverged_is_wrong_on_every_image(evidence: Path) -> None:
    """Its record has the share of the first class, which is what no number is taken for."""
    before = kept_results(evidence).main.set_index("path")
    path = "runs/toy/students/vgg.baseline/seed-0"
    file = evidence / path / "record.json"
    record = json.loads(file.read_text())
    record["protocol"]["diverged"] = True
    file.write_text(json.dumps(record))
    after = kept_results(evidence).main.set_index("path")
    assert before.loc[path, "test_accuracy"] > 0
    assert after.loc[path, ["test_accuracy", "validation_accuracy"]].tolist() == [0, 0]
    others = before.index != path
    assert after["test_accuracy"][others].equals(before["test_accuracy"][others])


def test_records_without_results_are_refused(evidence: Path) -> None:
    (evidence / "claims.csv").unlink()
    with pytest.raises(UserError, match=r"holds no claims\.csv"):
        judge_again(evidence)
