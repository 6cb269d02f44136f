"""What is not there: arms, seeds, measures, a shock to remove; and what intervals leave out."""

from collections.abc import Callable
from math import log

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.answers import (
    DEMONSTRATED,
    FEW_SEEDS,
    NO_HARM,
    NOT_RUN,
    answers,
    of_tried_papers,
)
from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import ALPHA, detectable_effect
from stagewise.analysis.claims.wording import headline

Make = Callable[..., Results]
SEEDS = np.arange(6)
NOISE = np.array([0.2, -0.1, 0.05, 0.15, -0.2, -0.1])
BASE = 80 + np.array([0.3, 0.9, -0.4, 0.0, 1.1, -0.6])
CE, KD, TWO = (f"recovery/p.baseline.l2-2x.{way}" for way in ("ce", "kd", "two_stage_kd"))
ONE_KD, TWO_KD, ALONE = "two_stage/p.one-stage.kd", "two_stage/p.kd", "students/p.pretrained"
AT = ".lr-0.05"
RATED = {"two_stage": {"common_rates": [0.05]}}


def main(claims: pd.DataFrame, claim: str) -> pd.DataFrame:
    return claims[(claims["claim"] == claim) & (claims["role"] == "headline")]


def verdict(claims: pd.DataFrame, claim: str) -> str:
    return str(claims.loc[claims["claim"] == claim, "claim_verdict"].iloc[0])


def test_recovery_without_its_two_stage_arm_is_reproduced_in_part_at_most(made: Make) -> None:
    """An audit's counter-example: "in two stages" was reproduced without any second stage."""
    claims = judge_claims(made({CE: BASE, KD: BASE + 3 + NOISE}, claims_tested=["A4"]))
    rows = main(claims, "A4").set_index("contrast")
    assert rows.loc["KD − CE after 2× pruning", "verdict"] == "reproduced"
    absent = rows.loc["two-stage KD − KD after 2× pruning"]
    assert (absent["pair"], absent["verdict"], absent["n"]) == ("", "not testable here", 0)
    assert absent["reason"] == "the study lacks recovery/{pair}.baseline.l2-2x.two_stage_kd"
    assert verdict(claims, "A4") == "partially"


def test_a_pair_that_lacks_one_of_a_claims_arms_has_a_row_and_one_without_any_has_none(
    made: Make,
) -> None:
    arms = {CE: BASE, KD: BASE + 3 + NOISE, TWO: BASE + 6 - NOISE}
    other = {CE.replace("/p.", "/q."): BASE, KD.replace("/p.", "/q."): BASE + 3 + NOISE}
    alone = {"students/r.baseline": BASE}
    claims = judge_claims(made({**arms, **other, **alone}, claims_tested=["A4"]))
    rows = main(claims, "A4").set_index(["contrast", "pair"])["verdict"].to_dict()
    assert rows == {
        ("KD − CE after 2× pruning", "p"): "reproduced",
        ("KD − CE after 2× pruning", "q"): "reproduced",
        ("two-stage KD − KD after 2× pruning", "p"): "reproduced",
        ("two-stage KD − KD after 2× pruning", "q"): "not testable here",
    }
    assert verdict(claims, "A4") == "partially"
    reason = main(claims, "A4").set_index("pair").loc["q", "reason"].iloc[-1]
    assert reason == "the study lacks recovery/q.baseline.l2-2x.two_stage_kd"


def test_opposite_directions_in_two_pairs_are_mixed(made: Make) -> None:
    def pair(name: str, gain: float) -> dict[str, np.ndarray]:
        return {
            arm.replace("/p.", f"/{name}."): BASE + gain * (arm == TWO_KD) + NOISE * (arm == TWO_KD)
            for arm in (TWO_KD, ONE_KD)
        }

    claims = judge_claims(made({**pair("p", 3.0), **pair("q", -3.0)}, claims_tested=["A3b"]))
    assert list(main(claims, "A3b")["verdict"]) == ["reproduced", "not reproduced"]
    assert verdict(claims, "A3b") == "mixed"
    (answer,) = (answer for answer in answers(claims) if answer.claim == "A3b")
    assert answer.decided
    assert "it depends" in answer.sentence
    # Shown against the control in one pair and undecided in the other is no such thing.
    claims = judge_claims(made({**pair("p", 0.0), **pair("q", -3.0)}, claims_tested=["A3b"]))
    assert verdict(claims, "A3b") != "mixed"


def test_a_seed_without_a_value_is_named(made: Make) -> None:
    values = [*(BASE[:3] + 3 + NOISE[:3]), None, *(BASE[4:] + 3 + NOISE[4:]), 83.0]
    control = [*BASE, np.nan]
    claims = judge_claims(made({TWO_KD: values, ONE_KD: control}, claims_tested=["A3b"]))
    (row,) = (row for _, row in main(claims, "A3b").iterrows())
    assert (row["n"], row["missing"]) == (5, "3, 6")
    assert row["note"].startswith("without seeds 3, 6")
    assert row["verdict"] == "not testable here"  # 5 seeds


def test_one_teacher_as_a_control_is_a_constant_and_the_note_says_so(made: Make) -> None:
    students = {"multi_exit/p.oto:1": BASE, "multi_exit/p.oto:ensemble": BASE + 2}
    claims = judge_claims(made({**students, "teachers/p": [79.0]}, claims_tested=["B5"]))
    rows = main(claims, "B5")
    assert list(rows["n"]) == [6, 6]
    assert rows["note"].str.contains("one teacher serves all seeds").all()
    assert list(rows["missing"]) == ["", ""]
    many = judge_claims(made({**students, "teachers/p": BASE - 3 + NOISE}, claims_tested=["B5"]))
    rows = main(many, "B5").set_index("contrast")
    assert (rows["note"] == "").all()
    # Paired by seed: the spread is that of the difference alone.
    assert rows.loc["OtO last exit − teacher", "sd"] == pytest.approx(NOISE.std(ddof=1))


@pytest.mark.parametrize(
    ("parents", "note"),
    [
        ({}, ""),
        ({"teacher": "runs/made/teachers/p/seed-0"}, "one teacher serves"),
        ({"teacher": "runs/made/teachers/p/seed-{seed}"}, ""),
        (
            {"teacher": "runs/made/teachers/p/seed-0", "init": "runs/made/teachers/p/seed-1"},
            "one teacher and one set of features from elsewhere serve all seeds",
        ),
        ({"init": "weights/imagenet"}, ""),  # everybody's, not this study's draw
    ],
)
def test_arms_that_share_a_parent_say_what_their_interval_leaves_out(
    made: Make, parents: dict[str, str], note: str
) -> None:
    arms = {TWO_KD: BASE + NOISE, ONE_KD: BASE, "teachers/p": BASE}
    results = made(arms, parents={TWO_KD: parents}, claims_tested=["A3b"])
    (told,) = main(judge_claims(results), "A3b")["note"]
    assert told.startswith(note)
    assert bool(told) == bool(note)


def shocked(
    made: Make, one: float, two: float, fall: float = 4.0, **options: object
) -> pd.DataFrame:
    """Claims of a study at a common rate: peaks of one and two stages, the fall of one stage."""
    arms = [f"{arm}{AT}" for arm in (TWO_KD, ONE_KD, ALONE)]
    peaks = {arms[0]: two * np.exp(NOISE), arms[1]: one * np.exp(NOISE[::-1]), arms[2]: [1.0] * 6}
    falls = {arms[0]: 1 + NOISE, arms[1]: 1 + fall + NOISE[::-1], arms[2]: NOISE + 1}
    shock = {"shock_peak": peaks, "probe_fall_50": falls}
    accuracy = dict.fromkeys(arms, BASE)
    settings = {"claims_tested": ["A1", "A2"], **RATED, **options}
    return judge_claims(made(accuracy, shock, **settings))


def test_a_shock_is_judged_at_common_rates_on_the_log_scale(made: Make) -> None:
    claims = shocked(made, one=12, two=2)
    assert (verdict(claims, "A1"), verdict(claims, "A2")) == ("reproduced", "reproduced")
    row = main(claims, "A2").iloc[0]
    assert (row["contrast"], row["rate"], row["treatment"], row["null"]) == (
        *("early gradient peak over late, two-stage over one-stage at rate 0.05", 0.05),
        *("two_stage/p.kd.lr-0.05", 0.5),
    )
    logs = log(2 / 12) + NOISE - NOISE[::-1]
    assert row["mean"] == pytest.approx(np.exp(logs.mean()))
    assert row["treatment_mean"] / row["control_mean"] == pytest.approx(row["mean"])
    half = 2.5706 * logs.std(ddof=1) / np.sqrt(6)
    assert row["high"] == pytest.approx(np.exp(logs.mean() + half), rel=1e-4)
    assert row["sd"] == pytest.approx(logs.std(ddof=1))
    assert np.isnan(row["p_equivalence"])
    level = main(claims, "A1").iloc[0]
    assert (level["null"], level["control"]) == (3, "")
    assert level["mean"] == pytest.approx(12 * np.exp(NOISE.mean()))


def test_where_no_shock_is_shown_there_is_none_to_remove(made: Make) -> None:
    claims = shocked(made, one=3.1, two=0.5)
    rows = main(claims, "A2")
    assert rows.iloc[0]["verdict"] == "not testable here"
    reason = "no shock is shown that could be removed: A1, early gradient peak"
    assert rows.iloc[0]["reason"].startswith(reason)
    assert "not shown to be above 3" in rows.iloc[0]["reason"]
    assert rows.iloc[1]["verdict"] == "reproduced"  # the probe's fall is there, and removed
    # A1 need not be listed for that, only shown.
    claims = shocked(made, one=12, two=2, claims_tested=["A2"])
    assert verdict(claims, "A2") == "reproduced"
    assert verdict(claims, "A1") == "not testable here"


def test_opposite_directions_at_two_rates_are_mixed(made: Make) -> None:
    fall, accuracy = {}, {}
    for rate, sign in ((0.05, -1), (0.2, 1)):
        arms = [f"{arm}.lr-{rate:g}" for arm in (TWO_KD, ONE_KD, ALONE)]
        fall |= {arms[0]: 9 + 4 * sign + NOISE, arms[1]: 9 - NOISE, arms[2]: 1 + NOISE}
        accuracy |= dict.fromkeys(arms, BASE)
    results = made(
        accuracy,
        {"probe_fall_50": fall},
        claims_tested=["A2"],
        two_stage={"common_rates": [0.05, 0.2]},
    )
    claims = judge_claims(results)
    falls = main(claims, "A2")[lambda rows: rows["contrast"].str.contains("probe")]
    assert dict(zip(falls["rate"], falls["verdict"], strict=True)) == {
        0.05: "reproduced",
        0.2: "not reproduced",
    }
    assert verdict(claims, "A2") == "mixed"


def test_a_study_without_common_rates_says_that_it_lacks_them(made: Make) -> None:
    arms = {TWO_KD: BASE, ONE_KD: BASE, ALONE: BASE}
    claims = judge_claims(made(arms, claims_tested=["A1", "A2"]))
    for claim in ("A1", "A2"):
        rows = main(claims, claim)
        assert list(rows["pair"]) == ["", ""]
        assert rows["reason"].str.contains("no networks at common rates").all()
        assert verdict(claims, claim) == "not testable here"


def test_older_logs_say_what_they_lack(made: Make) -> None:
    """Logs under running statistics alone: their own measure is shown, the others say why not."""
    shock = {"shock_peak_running": {arm: 4 * np.exp(NOISE) for arm in (TWO_KD, ONE_KD)}}
    shock["shock_peak"] = {arm: [None] * 6 for arm in (TWO_KD, ONE_KD)}
    claims = judge_claims(made({TWO_KD: BASE, ONE_KD: BASE, ALONE: BASE}, shock))
    rows = claims[claims["claim"] == "A1"].set_index("contrast")
    lacking = rows.loc["early gradient peak over late, one-stage KD, own rates"]
    assert (lacking["n"], lacking["pair"]) == (0, "p")
    assert "running batch-norm statistics alone" in lacking["reason"]
    shown = rows.loc[
        "early gradient peak over late, one-stage KD, under running statistics, own rates"
    ]
    assert shown["mean"] == pytest.approx(4 * np.exp(NOISE.mean()))


def test_runs_that_are_too_short_say_so(made: Make) -> None:
    """Neither kind of statistics gives a value, so age is no reason."""
    short = {arm: [None] * 6 for arm in (TWO_KD, ONE_KD)}
    shock = {"shock_peak_running": short, "shock_peak": short}
    claims = judge_claims(made({TWO_KD: BASE, ONE_KD: BASE, ALONE: BASE}, shock))
    rows = claims[claims["claim"] == "A1"].set_index("contrast")
    reason = rows.loc["early gradient peak over late, one-stage KD, own rates", "reason"]
    assert "too short" in reason
    assert "running" not in reason


def test_runs_that_logged_nothing_say_so(made: Make) -> None:
    arms = {f"{arm}{AT}": BASE for arm in (TWO_KD, ONE_KD, ALONE)}
    claims = judge_claims(made(arms, claims_tested=["A1"], **RATED))
    rows = main(claims, "A1")
    assert set(rows["pair"]) == {"p"}
    assert rows["reason"].str.contains("logged no gradient shock").all()
    assert verdict(claims, "A1") == "not testable here"


def test_what_is_detectable_is_so_at_the_level_that_decides(made: Make) -> None:
    arms = {
        TWO_KD: BASE + 5 + NOISE,
        ONE_KD: BASE,
        ALONE: BASE + 3 * NOISE,
    }
    claims = judge_claims(made(arms, claims_tested=["A3a", "A3b"]))
    rows = claims[claims["p_holm"].notna()].sort_values("p_t")
    assert len(rows) == 2
    for rank, (_, row) in enumerate(rows.iterrows()):
        assert row["mde"] == pytest.approx(detectable_effect(6, row["sd"], ALPHA / (2 - rank)))
    beside = claims[(claims["role"] == "secondary") & (claims["n"] > 0)].iloc[0]
    assert beside["mde"] == pytest.approx(detectable_effect(6, beside["sd"]))


def test_headlines_of_every_rule_are_one_family(made: Make) -> None:
    claims = shocked(made, one=12, two=2, claims_tested=["A1", "A2", "A3b"])
    family = claims[claims["p_holm"].notna()]
    assert set(family["claim"]) == {"A1", "A2"}
    assert len(family) == 4
    smallest = family.loc[family["p_t"].idxmin()]
    assert smallest["p_holm"] == pytest.approx(min(1, 4 * smallest["p_t"]))


def test_a_claim_of_an_older_list_stands_for_its_halves(made: Make) -> None:
    arms = {TWO_KD: BASE + 5 + NOISE, ONE_KD: BASE + 5, ALONE: BASE}
    claims = judge_claims(made(arms, claims_tested=["A3"]))
    assert verdict(claims, "A3a") == "reproduced"
    assert verdict(claims, "A3b") != "not testable here"


def test_a_gain_that_distillation_alone_has_too_is_said_to_be_its(made: Make) -> None:
    arms = {TWO_KD: BASE + 5 + NOISE / 10, ONE_KD: BASE + 5, ALONE: BASE + NOISE}
    claims = judge_claims(made(arms, claims_tested=["A3a", "A3b"]))
    assert (verdict(claims, "A3a"), verdict(claims, "A3b")) == ("reproduced", "not reproduced")
    told = {answer.claim: answer.sentence for answer in answers(claims)}
    assert "The gain is KD's doing, not that of the two stages" in told["A3a"]
    assert "one-stage KD alone gives +5.0 points" in told["A3a"]
    better = {**arms, ONE_KD: BASE}
    told = {a.claim: a.sentence for a in answers(judge_claims(made(better, claims_tested=["A3"])))}
    assert "doing" not in told["A3a"]
    undecided = {**arms, ONE_KD: BASE + 5 + 9 * NOISE}
    told = {
        a.claim: a.sentence for a in answers(judge_claims(made(undecided, claims_tested=["A3"])))
    }
    assert "is not shown (A3b inconclusive)" in told["A3a"]


def test_the_last_lines_answer_first_and_then_say_what_is_open_and_what_it_would_take(
    made: Make,
) -> None:
    arms = {TWO_KD: BASE + 5 + NOISE, ONE_KD: BASE + 5 + 9 * NOISE, ALONE: BASE}
    text = "\n".join(headline(judge_claims(made(arms, claims_tested=["A3a", "A3b"]))))
    answered, left = text.split("What it leaves open:")
    assert "A3a reproduced. Here, two-stage distillation was more accurate" in answered
    assert "+5.0 points, between +4.8 and +5.2 (p)" in " ".join(answered.split())
    assert "A3b inconclusive. Whether two stages help beyond one-stage KD is open" in " ".join(
        left.split()
    )
    assert "seeds" in left
    assert "B3 not testable here" in left


def test_what_is_open_has_its_kind(made: Make) -> None:
    """Not run, only demonstrated, and too few seeds are three things."""
    arms = {TWO_KD: BASE + 5 + NOISE, ONE_KD: BASE + 5 + 9 * NOISE, ALONE: BASE + NOISE}
    claims = judge_claims(made(arms, claims_tested=["A3b"]))
    kinds = {answer.claim: answer.kind for answer in answers(claims)}
    assert (kinds["A3a"], kinds["A3b"], kinds["B3"]) == (DEMONSTRATED, FEW_SEEDS, NOT_RUN)
    few = {arm: values[:5] for arm, values in arms.items()}
    claims = judge_claims(made(few, claims_tested=["A3a", "A3b"]))
    kinds = {answer.claim: answer.kind for answer in answers(claims)}
    assert kinds["A3a"] == kinds["A3b"] == FEW_SEEDS
    older = claims.assign(reason="demonstration only: this study's data cannot decide it")
    assert {a.kind for a in answers(older) if a.claim == "A3a"} == {DEMONSTRATED}


def test_a_page_says_nothing_of_a_paper_of_which_nothing_was_run(made: Make) -> None:
    claims = judge_claims(made({TWO_KD: BASE + NOISE, ALONE: BASE}, claims_tested=["A3a"]))
    shown = of_tried_papers(claims)
    assert set(claims["paper"]) > set(shown["paper"]) == {"A"}
    assert "A5a" in set(shown["claim"])  # of that paper, what is not run is told
    both = pd.concat([claims, claims.iloc[:1].assign(claim="own", paper=float("nan"), n=6)])
    assert "own" in set(of_tried_papers(both)["claim"])


def test_a_remedy_of_a_shock_that_is_not_shown_is_a_kind_of_its_own(made: Make) -> None:
    claims = shocked(made, one=3.1, two=0.5, fall=0.1)
    kinds = {answer.claim: answer.kind for answer in answers(claims)}
    assert (verdict(claims, "A2"), kinds["A2"]) == ("not testable here", NO_HARM)
    older = claims.assign(reason="no shock to remove: A1, early gradient peak over late, is 3")
    assert {a.kind for a in answers(older) if a.claim == "A2"} == {NO_HARM}


def test_an_interval_clear_of_zero_where_nothing_is_shown_is_explained(made: Make) -> None:
    """One paper's tests are counted together: here the others take what this one needs."""
    arms = {CE: BASE, KD: BASE + 3 + NOISE, TWO: BASE + 3 + NOISE}
    arms = {**arms, TWO: arms[KD] + np.array([0.5, 0.1, 0.6, 0.1, 0.4, 0.1])}
    arms |= {TWO_KD: BASE + 9 * NOISE, ONE_KD: BASE, ALONE: BASE - 9 * NOISE[::-1]}
    claims = judge_claims(made(arms, claims_tested=["A3a", "A3b", "A4"]))
    row = main(claims, "A4").set_index("contrast").loc["two-stage KD − KD after 2× pruning"]
    assert row["low"] > 0
    assert row["verdict"] == "inconclusive"
    told = {answer.claim: answer.sentence for answer in answers(claims)}["A4"]
    assert "alone clear of zero, but not with all tests counted" in told
