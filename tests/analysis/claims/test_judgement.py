"""Verdicts on synthetic studies: what is planted is found, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from stagewise.analysis.claims.judgement import COLUMNS, judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.wording import headline

Make = Callable[..., Results]
ALL = ["A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4", "B5"]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}  # enough for paper B, and quick to write


def judged(results: Results) -> pd.DataFrame:
    return judge_claims(results)


def verdict(claims: pd.DataFrame, claim: str) -> str:
    return str(claims.loc[claims["claim"] == claim, "claim_verdict"].iloc[0])


def same(arm: str) -> float:
    return 97.0 if arm.startswith("teachers") else 88.0


def test_a_study_of_equals_finds_nothing(make_results: Make) -> None:
    # Exits and ensembles differ by construction, so this is about the single networks.
    claims = judged(make_results(same, claims_tested=["A3", "A4", "A5"]))
    main = claims[claims["claim"].isin(["A3", "A4", "A5"]) & (claims["role"] == "headline")]
    assert len(main) == 7
    assert not main["verdict"].isin(["reproduced", "partially"]).any()


def test_planted_ten_points_are_found(make_results: Make) -> None:
    def accuracy(arm: str) -> float:
        return same(arm) - 15 * arm.endswith((".ce", ".baseline")) + 0.0

    claims = judged(make_results(accuracy))
    kd = claims[claims["contrast"] == "KD − CE after 2× pruning"]
    assert set(kd["pair"]) == {"resnet", "vgg"}
    assert set(kd["verdict"]) == {"reproduced"}
    assert (kd["mean"] - 15).abs().max() < 2
    assert (kd["p_holm"] < 0.01).all()


def test_losing_to_the_control_is_not_reproduced(make_results: Make) -> None:
    def accuracy(arm: str) -> float:
        return same(arm) - 10 * arm.startswith("multi_exit")

    claims = judged(make_results(accuracy, **SMALL))
    row = claims[claims["contrast"] == "MSKD last exit − KD (like with like)"].iloc[0]
    assert row["verdict"] == "not reproduced"


def test_gate_failure_stops_all_verdicts(make_results: Make) -> None:
    results = make_results(lambda arm: 90.0, **SMALL)
    gate = results.gate
    assert "4 are needed" in gate.reason
    claims = judged(results)
    assert set(claims["claim_verdict"]) == {"not testable here"}
    assert any("study gate failed" in line for line in headline(claims))


def test_gate_looks_at_validation_only(make_results: Make) -> None:
    results = make_results(**SMALL)
    summary = results.summary.assign(test_accuracy=50.0)
    assert replace(results, summary=summary).gate.reason == ""
    summary = results.summary.assign(validation_accuracy=50.0)
    assert replace(results, summary=summary).gate.reason != ""


def test_under_six_seeds_is_descriptive(make_results: Make) -> None:
    claims = judged(make_results(seeds=(0, 1, 2, 3, 4), **SMALL))
    b4 = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")].iloc[0]
    assert b4["verdict"] == "not testable here"
    assert "5 paired seeds" in b4["reason"]
    assert b4["mean"] > 1  # still shown


def test_claims_that_the_config_does_not_list_are_demonstrated(make_results: Make) -> None:
    claims = judged(make_results(claims_tested=["B4"], **SMALL))
    b1 = claims[(claims["claim"] == "B1") & (claims["role"] == "headline")]
    assert set(b1["verdict"]) == {"not testable here"}
    assert b1["reason"].str.startswith("demonstration only").all()
    assert b1["mean"].notna().all()
    # Nor do they weigh on the family of those that are tested.
    b4 = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")].iloc[0]
    assert b4["p_holm"] == pytest.approx(b4["p_t"])


def test_every_claim_has_a_row_and_b3_lacks_its_arms(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    assert list(claims.columns) == COLUMNS
    assert list(claims["claim"].unique()) == ALL
    b3 = claims[claims["claim"] == "B3"].iloc[0]
    assert (b3["verdict"], b3["reason"]) == ("not testable here", "the study has no such arms")


def test_holm_runs_over_a_papers_tested_headlines(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    family = claims[(claims["paper"] == "B") & claims["p_holm"].notna()]
    assert set(family["claim"]) == {"B1", "B2", "B4"}
    assert len(family) == 4
    smallest = family.loc[family["p_t"].idxmin()]
    assert smallest["p_holm"] == pytest.approx(min(1, 4 * smallest["p_t"]))


def test_shock_claims(make_results: Make) -> None:
    claims = judged(make_results(claims_tested=["A1", "A2"], two_stage={"pairs": ["resnet"]}))
    assert verdict(claims, "A1") == "reproduced"
    assert verdict(claims, "A2") == "reproduced"
    ratio = claims[(claims["claim"] == "A2") & (claims["contrast"] == "shock ratio")].iloc[0]
    assert ratio["treatment_mean"] == pytest.approx(2, abs=0.2)
    assert ratio["control_mean"] == pytest.approx(8, abs=0.2)


def test_teacher_control_is_a_constant(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    b5 = claims[claims["contrast"] == "OtO last exit − teacher"].iloc[0]
    assert b5["n"] == 6
    assert b5["mean"] == pytest.approx(b5["treatment_mean"] - b5["control_mean"])
