"""Verdicts on synthetic studies: what is planted is found, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.answers import answers
from stagewise.analysis.claims.judgement import COLUMNS, judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.wording import headline

Make = Callable[..., Results]
ALL = ["A1", "A2", "A3a", "A3b", "A3c", "A4", "A5a", "A5b", "B1a", "B1b", "B2", "B3", "B4", "B5"]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}  # enough for paper B, and quick to write


def judged(results: Results) -> pd.DataFrame:
    return judge_claims(results)


def verdict(claims: pd.DataFrame, claim: str) -> str:
    return str(claims.loc[claims["claim"] == claim, "claim_verdict"].iloc[0])


def same(arm: str) -> float:
    return 97.0 if arm.startswith("teachers") else 88.0


def test_a_study_of_equals_finds_nothing(make_results: Make) -> None:
    # Exits and ensembles differ by construction, so this is about the single networks.
    claims = judged(make_results(same, claims_tested=["A3a", "A3b", "A4", "A5a", "A5b"]))
    tested = claims["claim"].isin(["A3a", "A3b", "A4", "A5a", "A5b"])
    main = claims[tested & (claims["role"] == "headline")]
    assert len(main) == 10
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
        return same(arm) - 10 * arm.endswith("mskd")

    claims = judged(make_results(accuracy, **SMALL))
    row = claims[claims["contrast"] == "MSKD last exit − KD (like with like)"].iloc[0]
    assert row["verdict"] == "not reproduced"


def test_a_pair_whose_teacher_does_not_lead_is_not_judged(make_results: Make) -> None:
    results = make_results(lambda arm: 90.0, **SMALL)
    assert [check.pair for check in results.gate.failed] == ["resnet", "vgg"]
    claims = judged(results)
    assert set(claims["claim_verdict"]) == {"not testable here"}
    assert "the networks do not let it: resnet: teacher against the student alone:" in " ".join(
        " ".join(headline(claims)).split()
    )


def test_the_other_pair_stands(make_results: Make) -> None:
    def accuracy(arm: str) -> float:
        if arm.startswith("teachers"):
            return 90.0 if "vgg" in arm else 97.0
        return 88.0 + 3 * ("kd" in arm)

    claims = judged(make_results(accuracy))
    rows = claims[claims["contrast"] == "KD − CE after 2× pruning"].set_index("pair")
    assert rows.loc["resnet", "verdict"] == "reproduced"
    assert rows.loc["vgg", "verdict"] == "not testable here"
    assert "points on validation, at least 4 needed" in rows.loc["vgg", "reason"]
    assert set(claims.loc[claims["claim"] == "A4", "claim_verdict"]) == {"partially"}


def test_gate_looks_at_validation_only(make_results: Make) -> None:
    results = make_results(**SMALL)
    summary = results.summary.assign(test_accuracy=50.0)
    assert replace(results, summary=summary).gate.failed == []
    summary = results.summary.assign(validation_accuracy=50.0)
    assert replace(results, summary=summary).gate.failed != []


def test_under_six_seeds_is_descriptive(make_results: Make) -> None:
    claims = judged(make_results(seeds=(0, 1, 2, 3, 4), **SMALL))
    b4 = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")].iloc[0]
    assert b4["verdict"] == "not testable here"
    assert "too few seeds: 5, and 6 are needed" in b4["reason"]
    assert b4["mean"] > 1  # still shown


def test_claims_that_the_config_does_not_list_are_demonstrated(make_results: Make) -> None:
    claims = judged(make_results(claims_tested=["B4"], **SMALL))
    b1 = claims[(claims["claim"] == "B1a") & (claims["role"] == "headline")]
    assert set(b1["verdict"]) == {"not testable here"}
    assert b1["reason"].str.startswith("only demonstrated").all()
    assert b1["mean"].notna().all()
    # Nor do they weigh on the family of those that are tested.
    b4 = claims[(claims["claim"] == "B4") & (claims["role"] == "headline")].iloc[0]
    assert b4["p_holm"] == pytest.approx(b4["p_t"])


def test_every_claim_has_a_row_and_b3_lacks_its_arms(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    assert list(claims.columns) == COLUMNS
    assert list(claims["claim"].unique()) == ALL
    b3 = claims[claims["claim"] == "B3"].iloc[0]
    assert (b3["verdict"], b3["reason"]) == (
        "not testable here",
        "the study lacks multi_exit/{pair}.oto_star",
    )


def test_holm_runs_over_a_papers_tested_headlines(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    family = claims[(claims["paper"] == "B") & claims["p_holm"].notna()]
    assert set(family["claim"]) == {"B1a", "B1b", "B2", "B4"}
    assert len(family) == 7  # of B1b's five, self-distillation is not there
    smallest = family.loc[family["p_t"].idxmin()]
    assert smallest["p_holm"] == pytest.approx(min(1, 7 * smallest["p_t"]))


def test_the_shock_at_own_rates_is_shown_from_the_logs(make_results: Make) -> None:
    claims = judged(make_results(claims_tested=["A1", "A2"], two_stage={"pairs": ["resnet"]}))
    assert verdict(claims, "A1") == verdict(claims, "A2") == "not testable here"
    name = "early gradient peak over late, two-stage over one-stage, own rates"
    ratio = claims[(claims["claim"] == "A2") & (claims["contrast"] == name)].iloc[0]
    assert ratio["treatment_mean"] == pytest.approx(2, abs=0.2)
    assert ratio["control_mean"] == pytest.approx(8, abs=0.2)
    assert ratio["mean"] == pytest.approx(0.25, abs=0.02)


def test_teacher_control_is_a_constant(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    b5 = claims[claims["contrast"] == "OtO last exit − teacher"].iloc[0]
    assert b5["n"] == 6
    assert b5["mean"] == pytest.approx(b5["treatment_mean"] - b5["control_mean"])


def fair(made: Make) -> pd.DataFrame:
    """Verdicts where MSKD is five points above KD, and so is all that it is set against."""
    jitter = np.array([0.1, -0.1, 0.05, -0.05, 0.08, -0.08])
    even = np.array([0.05, 0.05, -0.05, -0.05, 0.0, 0.0])
    arms = {
        "teachers/p": [90.0] * 6,
        "distillation/p.kd": 70 + even,
        "multi_exit/p.mskd:ensemble": 75 + jitter,
        "multi_exit/p.mskd:4": 70 + jitter,
        "multi_exit/p.kd_wide": 75 + jitter + even,
        "multi_exit/p.kd_twice:ensemble": 75 + jitter + even[::-1],
        "multi_exit/p.ce:ensemble": 75 + jitter + even,
        "multi_exit/p.self_distillation:ensemble": 75 + jitter - even,
    }
    return judge_claims(made(arms, claims_tested=["B1a", "B1b"]))


def test_a_gain_over_one_network_that_others_have_too_is_not_the_teachings(made: Make) -> None:
    claims = fair(made)
    assert (verdict(claims, "B1a"), verdict(claims, "B1b")) == ("reproduced", "not reproduced")
    [told] = [answer.sentence for answer in answers(claims) if answer.claim == "B1a"]
    gain = "The gain is the cost's or the ensemble's doing, not that of teaching at every exit"
    assert gain in told
    assert "an ensemble of two networks with KD gains +5.0 points" in told


def test_a_claim_of_before_it_was_split_has_the_words_of_the_papers_own_part(made: Make) -> None:
    claims = fair(made).query("claim == 'B1a'").replace({"claim": {"B1a": "B1"}})
    [told] = answers(claims)
    assert (told.claim, told.decided) == ("B1", True)
    assert told.sentence.startswith("Here, a multi-exit student taught at every exit beat a single")
