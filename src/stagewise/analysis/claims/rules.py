"""When a claim counts as reproduced. All rules are here, and they are fixed before any run.

A claim has *headline* contrasts, which decide it, and secondary ones, which are shown beside them.
Every contrast is judged in every pair of the study that has its arms, and at every common learning
rate where it is about arms at common rates. Ratios are analysed as logarithms.

**Every rule is a test** of the mean over paired seeds against its null value: a two-sided t-test,
its p after Holm's correction over all headline rows of the tested claims of the same paper.
"Significant" means p < 0.05 after that correction.

**Conditions.** A headline row is *not testable here*, in this order, where

1. its arms are not in the study, or its records lack the values;
2. a gate of its pair failed (``gate.py``; none is judged where the study holds out no images);
3. the study's config does not list the claim under ``claims_tested`` (its effects are then shown
   as a demonstration);
4. there are fewer than 6 paired seeds (descriptive only: the exact sign-flip test cannot reach
   p < 0.05 below 6);
5. the harm that it says is removed is not shown: the 95 % interval of its ``given`` contrast, at
   the same pair and rate, does not lie above that contrast's threshold.

It is *inconclusive* where all seeds give one and the same value other than the null value: there is
no spread to judge by.

**Rule "difference"** (null 0, treatment − control, points). With a published effect, "published"
is its smallest value.

1. Significant and positive: *reproduced*; but *partially* where an effect as large as published
   lies above the whole 95 % interval.
2. Significant and negative: *not reproduced*.
3. Otherwise, with a published effect: *not reproduced* where that effect lies above the whole 95 %
   interval; *not testable here* where the detectable effect exceeds it; else *inconclusive*.
4. Otherwise, without one: *not reproduced* where TOST shows the difference to be within ± margin
   (p < 0.05), else *inconclusive*.

The detectable effect is that found with 80 % power at this n and spread, and at the level that
decides: 0.05 / (m − r) for the row of rank r (from 0) among the m p-values of its family.

**Rule "below"** (null 0; a harm's treatment − control): *reproduced* where significant and
negative; *not reproduced* where significant and positive, or equivalent within ± margin; else
*inconclusive*.

**Rule "above"** (null: the threshold; a level, or a difference): *reproduced* where significant and
above it, *not reproduced* where significant and below it, else *inconclusive*.

**Rule "halved"** (null: one half; treatment over control, of a harm): *reproduced* where
significant and below one half, *not reproduced* where significant and above it, else
*inconclusive*.

**Rule "no_gain"** (null 0; a guard, no claim: the treatment must not beat the control): *fails*
where the difference is positive with p < 0.05, uncorrected, so that an alarm is easy; else *holds*.
It knows no gate and no list of tested claims, but needs the 6 seeds.

**A claim** is *mixed* where one of its headline contrasts is significant in opposite directions in
two pairs or at two rates. Else it is *reproduced* where all its headline rows are, *not reproduced*
where all are that, *not testable here* where all are that; *partially* where some row is reproduced
or partially; else *inconclusive*. A guard *fails* where one of its rows does.

**Arms that are not there** make a row too, so that a claim cannot be reproduced by what was left
out: one in each pair that has another headline contrast of the claim, else one without a pair.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite, isnan, log

from stagewise.analysis.claims.statistics import (
    ALPHA,
    MARGIN,
    Paired,
    can_equate,
    seeds_to_detect,
    seeds_to_equate,
)
from stagewise.papers.claims import UNITS, Contrast

REPRODUCED = "reproduced"
PARTIALLY = "partially"
MIXED = "mixed"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_TESTABLE = "not testable here"
HOLDS, FAILS = "holds", "fails"
MIN_SEEDS = 6

DEMONSTRATION = "only demonstrated: this study's data cannot decide it"
DESCRIPTIVE = "too few seeds:"
UNHARMED = "no shock is shown that could be removed"
"""How three reasons begin."""

Verdict = tuple[str, str]
"""One of the words, and the reason in plain words."""


@dataclass(frozen=True)
class Case:
    """What a rule may look at: one headline contrast in one pair, at one rate.

    ``paired``: on the contrast's scale, ``null`` on the same. ``level``: of the test, after Holm.
    ``published_low``: the smallest published effect, NaN where none is known. ``tested``: the
    config lists the claim. ``gate_reason``, ``unharmed``: why the pair cannot be judged, and why
    there is nothing to remove; empty where that is not so.
    """

    paired: Paired
    p_holm: float
    null: float = 0.0
    level: float = ALPHA
    published_low: float = float("nan")
    margin: float = MARGIN
    tested: bool = True
    gate_reason: str = ""
    unharmed: str = ""

    @property
    def direction(self) -> int:
        """1 or -1 where the mean is significantly above or below the null value, else 0."""
        if not self.p_holm < ALPHA:
            return 0
        return 1 if self.paired.mean > self.null else -1


def _gate_failed(case: Case) -> str:
    return case.gate_reason


def _not_tested(case: Case) -> str:
    return "" if case.tested else DEMONSTRATION


def _few_seeds(case: Case) -> str:
    n = case.paired.n
    return "" if n >= MIN_SEEDS else f"{DESCRIPTIVE} {n}, and {MIN_SEEDS} are needed"


def _unharmed(case: Case) -> str:
    return case.unharmed


Rule = Callable[[Case], Verdict]
CONDITIONS: tuple[Callable[[Case], str], ...] = (_gate_failed, _not_tested, _few_seeds, _unharmed)


def _more(seeds: float) -> str:
    """How many seeds something would take."""
    return "more than 10,000 seeds" if isnan(seeds) else f"about {seeds:.0f} seeds"


def _unequal(case: Case) -> str:
    """Why neither a difference nor equivalence is shown, and what that would take."""
    effect, margin = case.paired, f"±{case.margin:g} points"
    reason = f"neither a difference is shown nor that there is none (within {margin})"
    if effect.p_t < ALPHA:
        return (
            f"{reason}: the interval alone excludes zero, but one of several tests does so by"
            " chance too easily"
        )
    if can_equate(effect.n, effect.sd, case.margin):
        return reason
    needed = _more(seeds_to_equate(effect.sd, case.margin))
    return f"{reason}; at this spread, to show that there is none would take {needed}"


def _with_spread(rule: Rule) -> Rule:
    """A rule that is asked only where seeds differ."""

    def judged(case: Case) -> Verdict:
        if isnan(case.paired.p_t):
            return INCONCLUSIVE, "all seeds give the same value: there is no spread to judge by"
        return rule(case)

    return judged


@_with_spread
def difference(case: Case) -> Verdict:
    """Rule "difference" of the module's docstring."""
    effect, published = case.paired, case.published_low
    below_published = isfinite(published) and effect.high < published
    if case.direction > 0:
        if below_published:
            return PARTIALLY, f"shown, but smaller than the published {published:g} points"
        return REPRODUCED, "shown, with all tests of the paper counted"
    if case.direction < 0:
        return NOT_REPRODUCED, "the other way round: the second is better"
    if below_published:
        return NOT_REPRODUCED, f"the interval excludes the published {published:g} points"
    if isfinite(published):
        if effect.mde > published:
            needed = _more(seeds_to_detect(published, effect.sd, case.level))
            return NOT_TESTABLE, (
                f"could only detect {effect.mde:.2f} points, published is {published:g};"
                f" at this spread, that would take {needed}"
            )
        return INCONCLUSIVE, f"neither zero nor the published {published:g} points can be excluded"
    if effect.p_equivalence < ALPHA:
        return NOT_REPRODUCED, f"no difference: equal within ±{case.margin:g} points"
    return INCONCLUSIVE, _unequal(case)


@_with_spread
def below(case: Case) -> Verdict:
    """Rule "below" of the module's docstring."""
    if case.direction < 0:
        return REPRODUCED, "smaller, with all tests of the paper counted"
    if case.direction > 0:
        return NOT_REPRODUCED, "larger, not smaller"
    if case.paired.p_equivalence < ALPHA:
        return NOT_REPRODUCED, f"no difference: equal within ±{case.margin:g} points"
    return INCONCLUSIVE, _unequal(case)


@_with_spread
def above(case: Case) -> Verdict:
    """Rule "above" of the module's docstring."""
    if case.direction > 0:
        return REPRODUCED, "above the threshold, with all tests of the paper counted"
    if case.direction < 0:
        return NOT_REPRODUCED, "below the threshold"
    return INCONCLUSIVE, "neither above nor below the threshold is shown"


@_with_spread
def halved(case: Case) -> Verdict:
    """Rule "halved" of the module's docstring."""
    if case.direction < 0:
        return REPRODUCED, "less than half is left, with all tests of the paper counted"
    if case.direction > 0:
        return NOT_REPRODUCED, "more than half is left"
    return INCONCLUSIVE, "that less than half is left is neither shown nor excluded"


def no_gain(case: Case) -> Verdict:
    """Rule "no_gain" of the module's docstring."""
    if case.paired.mean > 0 and not case.paired.p_t >= ALPHA:
        return FAILS, "it helps, so gains here need another reason than knowledge"
    return HOLDS, "no gain"


RULES: dict[str, Rule] = {
    "difference": difference,
    "below": below,
    "above": above,
    "halved": halved,
    "no_gain": no_gain,
}


def null_value(contrast: Contrast) -> float:
    """The value that a contrast's rule tests, in the contrast's unit."""
    return NULLS.get(contrast.rule, contrast.threshold)


NULLS = {"difference": 0.0, "below": 0.0, "halved": 0.5, "no_gain": 0.0}
"""Rule → its null value; the rule "above" has the contrast's threshold."""


def scaled(contrast: Contrast, value: float) -> float:
    """A value in the contrast's unit on the scale of its analysis."""
    return log(value) if UNITS[contrast.unit].log else value


def judge(rule: str, case: Case) -> Verdict:
    """The verdict on one headline row: the first condition that is not met, else the rule's."""
    for condition in CONDITIONS:
        if reason := condition(case):
            return NOT_TESTABLE, reason
    return RULES[rule](case)


def combine(verdicts: Iterable[str], *, opposed: bool = False) -> str:
    """A claim's verdict from those of its headline rows; ``opposed``: one of its contrasts is
    significant in both directions."""
    found = set(verdicts)
    if opposed:
        return MIXED
    if not found:
        return NOT_TESTABLE
    if len(found) == 1:
        return found.pop()
    if FAILS in found:
        return FAILS
    return PARTIALLY if found & {REPRODUCED, PARTIALLY} else INCONCLUSIVE
