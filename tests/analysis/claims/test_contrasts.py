"""Differences between arms, seed by seed, with the runs behind them."""

from collections.abc import Callable

import pandas as pd
import pytest

from stagewise.analysis.claims.contrasts import by_seed, measure_contrasts
from stagewise.analysis.claims.results import Results
from stagewise.papers.claims import Claim, ClaimBook, Contrast, Side, load_claims

ROWS = pd.DataFrame(
    [
        ("students/p.a", 0, "final", 90.0),
        ("students/p.a", 1, "final", 91.0),
        ("students/p.a", 2, "final", None),
        ("students/p.b", 1, "1", 80.0),
        ("students/p.b", 1, "2", 85.0),
        ("students/p.b", 1, "ensemble", 88.0),
        ("students/p.b", 0, "1", 81.0),
        ("students/p.b", 0, "2", 84.0),
        ("students/p.b", 0, "ensemble", 89.5),
        ("teachers/p", 7, "final", 95.0),
    ],
    columns=["arm", "seed", "exit", "test_accuracy"],
)
SUMMARY = ROWS.assign(path=ROWS["arm"] + "/seed-" + ROWS["seed"].astype(str))
A, B, TEACHER = Side("students/{pair}.a"), Side("students/{pair}.b"), Side("teachers/{pair}")


def measured(treatment: Side, control: Side | None) -> tuple[dict[int, float], list[str]]:
    """Differences by seed, and the runs behind that of seed 0."""
    contrast = Contrast("x", "headline", "difference", treatment, control)
    book = ClaimBook(0.3, {}, (Claim("X", *[""] * 7, (contrast,)),), {})
    no_shock = pd.DataFrame(columns=["arm", "seed", "path"])
    runs = SUMMARY.drop_duplicates("path").assign(
        parents=[{}] * SUMMARY["path"].nunique(), family=""
    )
    found = measure_contrasts(book, ["p", "q"], [], runs, SUMMARY, no_shock).measured
    assert list(found) == [("X", "x", "p")], "pair q has no runs"
    return found["X", "x", "p"].differences.to_dict(), found["X", "x", "p"].runs(0)


@pytest.mark.parametrize(
    ("treatment", "control", "differences", "runs"),
    [
        (B, A, {0: -0.5, 1: -3.0}, ["students/p.b/seed-0", "students/p.a/seed-0"]),
        (
            Side(B.arm, "last"),
            Side(B.arm, "1"),
            {0: 3.0, 1: 5.0},
            ["students/p.b/seed-0", "students/p.b/seed-0"],
        ),
        (A, TEACHER, {0: -5.0, 1: -4.0}, ["students/p.a/seed-0", "teachers/p/seed-7"]),
        (Side(B.arm, "ensemble", "last"), None, {0: 5.5, 1: 3.0}, ["students/p.b/seed-0"]),
    ],
)
def test_differences_are_paired_by_seed_in_their_order(
    treatment: Side, control: Side | None, differences: dict[int, float], runs: list[str]
) -> None:
    found, behind = measured(treatment, control)
    assert list(found.items()) == list(differences.items())
    assert behind == runs


def test_of_several_arms_the_best_on_validation_is_taken() -> None:
    """Not that which is best on test images; arms that the study lacks are passed over."""
    several = Side("students/{pair}.none | students/{pair}.a | students/{pair}.b")
    contrast = Contrast("x", "headline", "difference", TEACHER, several)
    book = ClaimBook(0.3, {}, (Claim("X", *[""] * 7, (contrast,)),), {})
    no_shock = pd.DataFrame(columns=["arm", "seed", "path"])
    runs = SUMMARY.drop_duplicates("path").assign(
        parents=[{}] * SUMMARY["path"].nunique(), family=""
    )
    runs["seed"] = SUMMARY.loc[runs.index, "seed"].replace(7, 0)
    rows = SUMMARY.assign(seed=SUMMARY["seed"].replace(7, 0))
    for better in ("a", "b"):
        validated = rows.assign(validation_accuracy=rows["arm"].str.endswith(better) * 10.0 + 50)
        found = measure_contrasts(book, ["p"], [], runs, validated, no_shock).measured
        assert found["X", "x", "p"].arms == ("teachers/p", f"students/p.{better}")
        said = f"students/p.{better} is the best of 2 on validation images"
        assert found["X", "x", "p"].note.endswith(said)


def test_a_measure_that_is_not_known_has_no_row() -> None:
    rows = SUMMARY[SUMMARY["arm"] == "students/p.a"]
    assert list(by_seed(rows, A, "test_accuracy").index) == [0, 1]
    assert by_seed(rows.iloc[:0], A, "test_accuracy").empty


def test_names_tell_every_contrast_of_the_book_apart(
    make_results: Callable[..., Results],
) -> None:
    keys = [(claim.id, c.name) for claim in load_claims().claims for c in claim.contrasts]
    assert len(keys) == len(set(keys)) > 30
    results = make_results(pruning=[], multi_exit={}, seeds=(0, 1))
    found = {(claim, name) for claim, name, pair in results.contrasts.measured if pair == "resnet"}
    assert found == {
        *(
            (claim.id, c.name)
            for claim in load_claims().claims
            for c in claim.contrasts
            if claim.id in ("A1", "A2", "A3a", "A3b") and not c.rated
        )
    }
    assert not results.contrasts.lacking
