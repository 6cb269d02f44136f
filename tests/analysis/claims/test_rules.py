"""Each rule on made-up cases; how rows combine to a verdict."""

from dataclasses import replace
from math import log

import pytest

from stagewise.analysis.claims import rules
from stagewise.analysis.claims.statistics import paired, seeds_to_detect, seeds_to_equate
from stagewise.analysis.records.shock import MEASURES
from stagewise.papers.claims import UNITS, Contrast, Side, load_claims

CASE = rules.Case(paired=paired([0.9, 1.1, 1.0, 1.2, 0.8, 1.0]), p_holm=0.001)
NOISY = paired([4.0, -4, 3, -3, 2, -1.9])
LITTLE = [-0.02, 0.03, 0.0, 0.02, -0.03, 0.01]
"""Six differences around zero."""


def around(value: float, spread: float = 1.0) -> list[float]:
    return [value + spread * each for each in LITTLE]


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
        ({"p_holm": float("nan"), "paired": paired([1.0] * 6)}, rules.INCONCLUSIVE),
        ({"tested": False}, rules.NOT_TESTABLE),
        ({"gate_reason": "gate failed"}, rules.NOT_TESTABLE),
        ({"unharmed": "no shock to remove"}, rules.NOT_TESTABLE),
        ({"paired": paired([1.0] * 4 + [1.1])}, rules.NOT_TESTABLE),
    ],
)
def test_rule_difference(changes: dict[str, object], expected: str) -> None:
    assert rules.judge("difference", replace(CASE, **changes))[0] == expected


def judged(rule: str, values: list[float], null: float, p: float | None = None) -> rules.Verdict:
    """A rule's verdict on values of its scale; ``p``: after Holm, where it is not the same."""
    effect = paired(values, null=null)
    return rules.judge(rule, rules.Case(effect, effect.p_t if p is None else p, null))


@pytest.mark.parametrize(
    ("values", "p", "expected"),
    [
        (around(log(8)), None, rules.REPRODUCED),
        (around(log(2.5)), None, rules.NOT_REPRODUCED),
        (around(log(3)), None, rules.INCONCLUSIVE),
        # The mean is above 3, but not the interval; the old rule called this reproduced.
        (around(log(3.4), 15), None, rules.INCONCLUSIVE),
        # The interval is above 3, but chance is no unlikely explanation among many tests.
        (around(log(8)), 0.2, rules.INCONCLUSIVE),
    ],
)
def test_rule_above(values: list[float], p: float | None, expected: str) -> None:
    assert judged("above", values, log(3), p)[0] == expected


@pytest.mark.parametrize(
    ("ratio", "spread", "p", "expected"),
    [
        (0.25, 1, None, rules.REPRODUCED),
        (0.5, 1, None, rules.INCONCLUSIVE),
        (0.45, 15, None, rules.INCONCLUSIVE),
        (0.25, 1, 0.4, rules.INCONCLUSIVE),
        (0.75, 1, None, rules.NOT_REPRODUCED),
        (1.2, 1, None, rules.NOT_REPRODUCED),
    ],
)
def test_rule_halved(ratio: float, spread: float, p: float | None, expected: str) -> None:
    assert judged("halved", around(log(ratio), spread), log(0.5), p)[0] == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (around(-2), rules.REPRODUCED),
        (around(2), rules.NOT_REPRODUCED),
        (around(0), rules.NOT_REPRODUCED),  # equivalent
        (around(-0.1, 50), rules.INCONCLUSIVE),
    ],
)
def test_rule_below(values: list[float], expected: str) -> None:
    assert judged("below", values, 0.0)[0] == expected


@pytest.mark.parametrize("rule", ["difference", "below", "above", "halved"])
def test_equal_seeds_leave_no_spread_to_judge_by(rule: str) -> None:
    verdict, reason = judged(rule, [-4.0] * 6, -1.0)
    assert (verdict, "no spread" in reason) == (rules.INCONCLUSIVE, True)


def test_a_guard_that_gains_alike_at_every_seed_is_an_alarm() -> None:
    assert judged("no_gain", [4.0] * 6, 0.0)[0] == rules.FAILS
    assert judged("no_gain", [-4.0] * 6, 0.0)[0] == rules.HOLDS
    assert judged("no_gain", around(0), 0.0)[0] == rules.HOLDS


def test_what_equivalence_would_take_is_said_where_it_is_out_of_reach() -> None:
    wide = [1.0, -1.0, 0.9, -0.8, 0.4, -0.4]
    _, reason = judged("difference", wide, 0.0)
    assert "±0.3 points" in reason
    assert f"would take about {seeds_to_equate(paired(wide).sd)} seeds" in reason
    within_reach = paired([-0.1, 0.5, 0.2, 0.4, -0.2, 0.35])
    _, reason = rules.judge("difference", rules.Case(within_reach, 0.2))
    assert reason == ("neither a difference is shown nor that there is none (within ±0.3 points)")


def test_an_interval_beside_zero_that_holm_does_not_grant_says_so() -> None:
    _, reason = rules.judge("difference", replace(CASE, p_holm=0.2))
    assert "the interval alone excludes zero, but one of several tests does so by chance" in reason


def test_what_the_published_effect_would_take_is_said() -> None:
    case = replace(CASE, p_holm=0.9, paired=NOISY, published_low=0.5)
    needed = seeds_to_detect(0.5, NOISY.sd)
    assert f"that would take about {needed} seeds" in rules.judge("difference", case)[1]
    assert "more than 10,000" in rules.judge("difference", replace(case, published_low=0.01))[1]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], rules.NOT_TESTABLE),
        ([rules.REPRODUCED] * 2, rules.REPRODUCED),
        ([rules.REPRODUCED, rules.INCONCLUSIVE], rules.PARTIALLY),
        ([rules.REPRODUCED, rules.NOT_TESTABLE], rules.PARTIALLY),
        ([rules.NOT_REPRODUCED, rules.INCONCLUSIVE], rules.INCONCLUSIVE),
        ([rules.NOT_REPRODUCED] * 2, rules.NOT_REPRODUCED),
    ],
)
def test_claims_combine_their_rows(verdicts: list[str], expected: str) -> None:
    assert rules.combine(verdicts) == expected
    assert rules.combine(verdicts, opposed=True) == rules.MIXED


def test_the_book_names_rules_units_and_contrasts_that_exist() -> None:
    claims = load_claims().claims
    contrasts = [c for claim in claims for c in claim.contrasts]
    assert {c.rule for c in contrasts} == set(rules.RULES)
    assert {c.role for c in contrasts} == {"headline", "secondary"}
    assert {c.unit for c in contrasts} <= set(UNITS)
    names = {(claim.id, c.name) for claim in claims for c in claim.contrasts}
    assert {c.given for c in contrasts if c.given} <= names
    assert {(claim.id, claim.but.contrast) for claim in claims if claim.but} <= names
    assert {claim.within_arms for claim in claims} - {""} <= {*MEASURES}
    assert all(c.log for c in contrasts if c.rule == "halved")
    assert all(c.threshold > 0 for c in contrasts if c.rule == "above" and c.log)


def test_a_contrast_at_common_rates_names_them() -> None:
    pattern = Contrast(
        "x", "headline", "halved", Side("a.lr-{rate}"), Side("b.lr-{rate}"), given=("A1", "y")
    )
    (at, rate), other = pattern.at_rates([0.05, 1e-4])
    assert (at.name, at.treatment.arm, at.control, rate) == (
        *("x at rate 0.05", "a.lr-0.05"),
        *(Side("b.lr-0.05"), 0.05),
    )
    assert at.given == ("A1", "y at rate 0.05")
    assert other[0].treatment.arm == "a.lr-0.0001"
    fixed = Contrast("x", "headline", "difference", Side("a"))
    assert [c for c, _ in fixed.at_rates([0.05, 0.1])] == [fixed]
