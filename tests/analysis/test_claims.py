"""Verdicts on synthetic studies: what is planted is found, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from stagewise.analysis import headline
from stagewise.analysis.claims import rules
from stagewise.analysis.claims.judgement import COLUMNS, judge_claims, load_claims, study_gate
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.records.shock import shock_measures
from stagewise.analysis.tables.table import Results

Make = Callable[..., Results]
ALL = ["A1", "A2", "A3", "A4", "A5", "B1", "B2", "B3", "B4", "B5"]
SMALL = {"pruning": [], "two_stage": {"pairs": []}}  # enough for paper B, and quick to write


def judged(results: Results) -> pd.DataFrame:
    return judge_claims(results.study, results.summary)


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
    gate = study_gate(results.study, results.summary)
    assert "4 are needed" in gate.reason
    claims = judged(results)
    assert set(claims["claim_verdict"]) == {"not testable here"}
    assert any("study gate failed" in line for line in headline(claims))


def test_gate_looks_at_validation_only(make_results: Make) -> None:
    results = make_results(**SMALL)
    summary = results.summary.assign(test_accuracy=50.0)
    assert study_gate(results.study, summary).reason == ""
    assert study_gate(results.study, summary.assign(validation_accuracy=50.0)).reason != ""


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


def test_shock_measures_by_hand() -> None:
    log = pd.DataFrame({"step": [0, 1, 20, 21, 89, 90, 95, 100]})
    log["g_backbone"] = [2.0, 6, 3, 50, 9, 1, 2, 3]
    log["probe_accuracy"] = [80.0, 77, None, 85, None, None, None, 82]
    log["displacement"] = [0.0, 0.1, None, None, None, None, None, 0.4]
    found = shock_measures(log)
    assert found["shock_ratio"] == pytest.approx(6 / 2)
    assert found["probe_loss"] == pytest.approx(3)
    assert found["displacement"] == pytest.approx(0.4)


def test_teacher_control_is_a_constant(make_results: Make) -> None:
    claims = judged(make_results(**SMALL))
    b5 = claims[claims["contrast"] == "OtO last exit − teacher"].iloc[0]
    assert b5["n"] == 6
    assert b5["mean"] == pytest.approx(b5["treatment_mean"] - b5["control_mean"])


EVIDENCE = rules.Evidence(
    paired=paired([0.9, 1.1, 1.0, 1.2, 0.8, 1.0]),
    p_holm=0.001,
    treatment_mean=91,
    control_mean=90,
    published_low=float("nan"),
    threshold=float("nan"),
    tested=True,
    gate_reason="",
)
NOISY = paired([4.0, -4, 3, -3, 2, -1.9])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, rules.REPRODUCED),
        ({"published_low": 0.5}, rules.REPRODUCED),
        ({"published_low": 5.0}, rules.PARTIALLY),
        ({"paired": paired([-1.0, -1.1, -0.9, -1, -1.2, -0.8])}, rules.NOT_REPRODUCED),
        ({"p_holm": 0.3, "published_low": 5.0}, rules.NOT_REPRODUCED),
        ({"p_holm": 0.9, "paired": NOISY, "published_low": 0.5}, rules.NOT_TESTABLE),
        ({"p_holm": 0.9, "paired": NOISY}, rules.INCONCLUSIVE),
        ({"p_holm": 0.9, "paired": paired([0.0] * 5 + [0.1])}, rules.NOT_REPRODUCED),
        ({"tested": False}, rules.NOT_TESTABLE),
        ({"gate_reason": "study gate failed"}, rules.NOT_TESTABLE),
    ],
)
def test_rule_difference(changes: dict[str, object], expected: str) -> None:
    assert rules.judge("difference", replace(EVIDENCE, **changes))[0] == expected


@pytest.mark.parametrize(
    ("treatment", "control", "differences", "p", "expected"),
    [
        (2, 8, [-6.0, -5.9, -6.1, -6.2, -5.8, -6.0], 0.001, rules.REPRODUCED),
        (4, 8, [-4.0, -3.9, -4.1, -4.2, -3.8, -4.0], 0.001, rules.REPRODUCED),
        (4, 8, [-20.0, 4, -9, 5, -8, 4], 0.4, rules.INCONCLUSIVE),
        (6, 8, [-2.0, -1.9, -2.1, -2.2, -1.8, -2.0], 0.001, rules.PARTIALLY),
        (6, 8, [-9.0, 5, -9, 5, -8, 4], 0.4, rules.NOT_REPRODUCED),
        (9, 8, [1.0, 0.9, 1.1, 1.2, 0.8, 1.0], 0.001, rules.NOT_REPRODUCED),
        (0, 0, [0.0, 0.1, -0.1, 0.1, -0.1, 0.0], 0.9, rules.NOT_TESTABLE),
    ],
)
def test_rule_halved(
    treatment: float, control: float, differences: list[float], p: float, expected: str
) -> None:
    evidence = replace(
        EVIDENCE,
        treatment_mean=treatment,
        control_mean=control,
        paired=paired(differences),
        p_holm=p,
    )
    assert rules.judge("halved", evidence)[0] == expected


def test_equal_seeds_that_are_halved_have_no_interval() -> None:
    equal = replace(EVIDENCE, treatment_mean=4, control_mean=8, paired=paired([-4.0] * 6))
    verdict, reason = rules.judge("halved", equal)
    assert (verdict, "no interval" in reason) == (rules.INCONCLUSIVE, True)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], rules.NOT_TESTABLE),
        ([rules.REPRODUCED] * 2, rules.REPRODUCED),
        ([rules.REPRODUCED, rules.INCONCLUSIVE], rules.PARTIALLY),
        ([rules.NOT_REPRODUCED, rules.INCONCLUSIVE], rules.INCONCLUSIVE),
        ([rules.NOT_REPRODUCED] * 2, rules.NOT_REPRODUCED),
    ],
)
def test_claims_combine_their_rows(verdicts: list[str], expected: str) -> None:
    assert rules.combine(verdicts) == expected


def test_the_book_names_rules_that_exist() -> None:
    contrasts = [c for claim in load_claims()["claims"] for c in claim["contrasts"]]
    assert {c["rule"] for c in contrasts} <= set(rules.RULES)
    assert {c["role"] for c in contrasts} == {"headline", "secondary"}
