"""A study that holds no images out: nothing fails, nothing is said that is not true."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results, read_results
from stagewise.analysis.figures import learning
from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.logits import read_logits
from stagewise.analysis.records.study import Study
from stagewise.analysis.records.summary import summarise
from stagewise.analysis.report.page import render
from stagewise.analysis.tables.files import protocol_lines, write_tables
from stagewise.analysis.tables.table import make_table, make_tables
from stagewise.errors import UserError

CHANGES = {
    "pruning": [],
    "two_stage": {"pairs": []},
    "data": {"source": "digits", "validation": 0},
}


@pytest.fixture
def results(make_study: Callable[..., Study], tmp_path: Path) -> Results:
    """As the scripts read it back."""
    study = make_study(**CHANGES)
    evaluate(study).to_csv(tmp_path / "evaluation.csv", index=False)
    evaluation = read_csv(tmp_path / "evaluation.csv", ("path", "exit", "split", "accuracy"))
    summarise(study, evaluation).to_csv(tmp_path / "summary.csv", index=False)
    return read_results(tmp_path / "plan.json", tmp_path, tmp_path / "summary.csv")


def test_a_study_without_validation_ends_with_its_verdicts(
    results: Results, published: Path, tmp_path: Path
) -> None:
    evaluation = read_csv(tmp_path / "evaluation.csv")
    assert set(evaluation["split"]) == {"test"}
    empty = [name for name in results.summary if name.startswith("validation_")]
    assert empty
    assert results.summary[empty].isna().all(axis=None)
    assert results.summary["test_accuracy"].notna().all()

    gate = results.gate
    assert (gate.judged, gate.checks, gate.reason(["teachers/resnet"])) == (False, (), "")
    claims = judge_claims(results)
    b4 = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")]
    assert not b4["verdict"].eq("not testable here").any()

    shown = make_table("accuracy", results).shown
    assert set(shown["Validation, %"]) == {"–"}
    write_tables(results, make_tables(results), tmp_path / "tables")
    page = render(results, claims, published / "figures", tmp_path / "report.html")
    for text in ((tmp_path / "tables/study.md").read_text(), page):
        assert "not judged, as no images were held out." in text
        assert "No images were held out, and nothing was chosen" in text
        for untrue in ("chosen on validation", "made on validation", "gates are passed", "nan"):
            assert untrue not in text, untrue
    assert "This was not judged" in page
    notice = " ".join(text.get_text() for text in learning.draw(results).texts)
    assert "holds out no validation images" in notice


def test_what_a_study_with_validation_says_is_not_said(results: Results) -> None:
    held_out = {**results.study.config, "data": {"source": "digits", "validation": 0.2}}
    other = Results(
        Study("", "toy", held_out, results.study.runs, results.study.root),
        results.summary.assign(validation_accuracy=np.linspace(90, 80, len(results.summary))),
    )
    assert not set(protocol_lines(results)[1::2]) & set(protocol_lines(other)[1::2])


def test_logits_of_validation_are_missed_only_where_images_were_held_out(
    results: Results,
) -> None:
    folder = results.study.folder(results.study.runs["path"].iloc[0])
    assert set(read_logits(folder, results.study.splits)) == {"test"}
    with pytest.raises(UserError, match=r"logits\.npz: corrupted logits .*validation"):
        read_logits(folder)
