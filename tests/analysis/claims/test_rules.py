"""Each rule on made-up cases; how rows combine to a verdict."""

from dataclasses import replace

import pytest

from stagewise.analysis.claims import rules
from stagewise.analysis.claims.statistics import paired
from stagewise.papers.claims import load_claims

CASE = rules.Case(
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
    assert rules.judge("difference", replace(CASE, **changes))[0] == expected


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
    case = replace(
        CASE,
        treatment_mean=treatment,
        control_mean=control,
        paired=paired(differences),
        p_holm=p,
    )
    assert rules.judge("halved", case)[0] == expected


def test_equal_seeds_that_are_halved_have_no_interval() -> None:
    equal = replace(CASE, treatment_mean=4, control_mean=8, paired=paired([-4.0] * 6))
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
    contrasts = [c for claim in load_claims().claims for c in claim.contrasts]
    assert {c.rule for c in contrasts} <= set(rules.RULES)
    assert {c.role for c in contrasts} == {"headline", "secondary"}
