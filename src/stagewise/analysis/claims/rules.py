"""When a claim counts as reproduced. All rules are here, and they are fixed before any run.

A claim has *headline* contrasts, which decide it, and secondary ones, which are shown beside them.
Every contrast is judged in every pair of the study that has its arms.

**Conditions.** A headline row is *not testable here*, in this order, where

1. the study gate failed: on validation, the teacher does not lead the baseline by the configured
   points in every pair (not judged where the study holds out no images);
2. the study's config does not list the claim under ``claims_tested`` (its effects are then shown
   as a demonstration);
3. there are fewer than 6 paired seeds (descriptive only: the exact sign-flip test cannot reach
   p < 0.05 below 6).

**Rule "difference"** (treatment − control, points; p is the t p-value after Holm over the tested
headline rows of the same paper). With a published effect, "published" is its smallest value.

1. p < 0.05 and the difference is positive: *reproduced*; but *partially* where an effect as large
   as published lies above the whole 95 % interval.
2. p < 0.05 and the difference is negative: *not reproduced*.
3. Otherwise, with a published effect: *not reproduced* where that effect lies above the whole 95 %
   interval; *not testable here* where the minimal detectable effect (80 % power) exceeds it;
   else *inconclusive*.
4. Otherwise, without one: *not reproduced* where TOST shows the difference to be within ± margin
   (p < 0.05), else *inconclusive*.

**Rule "above"** (one arm's measure against a threshold): *reproduced* where the mean exceeds the
threshold and the 95 % interval lies above zero; *inconclusive* where only the mean does; else
*not reproduced*.

**Rule "halved"** (a harm in treatment and control): *not testable here* where the control's mean
harm is not above zero; where the treatment's mean is at most half of the control's, *reproduced* if
the 95 % interval of the difference lies below zero, else *inconclusive*; *partially* where it is
smaller with p < 0.05 (Holm, as above); else *not reproduced*.

**Rule "no_gain"** (a guard, no claim: the treatment must not beat the control): *fails* where the
difference is positive with p < 0.05, uncorrected, so that an alarm is easy; else *holds*. It knows
no gate and no list of tested claims, but needs the 6 seeds.

**A claim** is *reproduced* where all its headline rows are, *not reproduced* where all are that,
*not testable here* where all are that; *partially* where some row is reproduced or partially;
else *inconclusive*. A guard *fails* where one of its rows does. Arms that a pair does not have make
no row; a claim without any row is *not testable here*.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite, isnan

from stagewise.analysis.claims.statistics import ALPHA, Paired

REPRODUCED = "reproduced"
PARTIALLY = "partially"
NOT_REPRODUCED = "not reproduced"
INCONCLUSIVE = "inconclusive"
NOT_TESTABLE = "not testable here"
HOLDS, FAILS = "holds", "fails"
MIN_SEEDS = 6

Verdict = tuple[str, str]
"""One of the words (a claim has five, a guard its own), and the reason in plain words."""


@dataclass(frozen=True)
class Case:
    """What a rule may look at: one headline contrast in one pair.

    ``published_low``: the smallest published effect, NaN where none is known. ``threshold``: of
    the rule "above". ``tested``: the config lists the claim. ``gate_reason``: empty where passed.
    """

    paired: Paired
    p_holm: float
    treatment_mean: float
    control_mean: float
    published_low: float
    threshold: float
    tested: bool
    gate_reason: str


def _gate_failed(case: Case) -> str:
    return case.gate_reason


def _not_tested(case: Case) -> str:
    return "" if case.tested else "demonstration only: this study's data cannot decide it"


def _few_seeds(case: Case) -> str:
    n = case.paired.n
    pairs = f"{n} paired seed{'s' * (n != 1)}"
    return "" if n >= MIN_SEEDS else f"descriptive only: {pairs}, {MIN_SEEDS} are needed"


CONDITIONS: tuple[Callable[[Case], str], ...] = (_gate_failed, _not_tested, _few_seeds)


def difference(case: Case) -> Verdict:
    """Rule "difference" of the module's docstring."""
    effect, published = case.paired, case.published_low
    below_published = isfinite(published) and effect.high < published
    if case.p_holm < ALPHA and effect.mean > 0:
        if below_published:
            return PARTIALLY, f"positive, but smaller than the published {published:g} points"
        return REPRODUCED, "positive after Holm's correction"
    if case.p_holm < ALPHA:
        return NOT_REPRODUCED, "the control is better"
    if below_published:
        return NOT_REPRODUCED, f"the interval excludes the published {published:g} points"
    if isfinite(published):
        if effect.mde > published:
            return NOT_TESTABLE, (
                f"could only detect {effect.mde:.2f} points, published is {published:g}"
            )
        return INCONCLUSIVE, "the interval holds both zero and the published effect"
    if effect.p_equivalence < ALPHA:
        return NOT_REPRODUCED, "equivalent within the margin"
    return INCONCLUSIVE, "neither a difference nor equivalence is shown"


def above(case: Case) -> Verdict:
    """Rule "above" of the module's docstring."""
    mean, threshold = case.treatment_mean, case.threshold
    if not mean > threshold:
        return NOT_REPRODUCED, f"the mean does not exceed {threshold:g}"
    if not case.paired.low > 0:
        return INCONCLUSIVE, f"the mean exceeds {threshold:g}, but the interval reaches zero"
    return REPRODUCED, f"the mean exceeds {threshold:g} and the interval lies above zero"


def halved(case: Case) -> Verdict:
    """Rule "halved" of the module's docstring."""
    treatment, control = case.treatment_mean, case.control_mean
    if not control > 0:
        return NOT_TESTABLE, "the control shows no harm that could be removed"
    if treatment <= control / 2 and isnan(case.paired.high):
        return INCONCLUSIVE, "at most half of the control's, but equal seeds give no interval"
    if treatment <= control / 2 and not case.paired.high < 0:
        return INCONCLUSIVE, "at most half of the control's, but the interval reaches zero"
    if treatment <= control / 2:
        return REPRODUCED, "at most half of the control's, and the interval lies below zero"
    if case.p_holm < ALPHA and treatment < control:
        return PARTIALLY, "smaller than the control's, but more than half of it"
    return NOT_REPRODUCED, "not halved"


def no_gain(case: Case) -> Verdict:
    """Rule "no_gain" of the module's docstring."""
    if case.paired.p_t < ALPHA and case.paired.mean > 0:
        return FAILS, "the control helps, so gains here need another reason than knowledge"
    return HOLDS, "no gain"


RULES: dict[str, Callable[[Case], Verdict]] = {
    "difference": difference,
    "above": above,
    "halved": halved,
    "no_gain": no_gain,
}


def judge(rule: str, case: Case) -> Verdict:
    """The verdict on one headline row: the first condition that is not met, else the rule's."""
    for condition in CONDITIONS:
        if reason := condition(case):
            return NOT_TESTABLE, reason
    return RULES[rule](case)


def combine(verdicts: Iterable[str]) -> str:
    """A claim's verdict from those of its headline rows."""
    found = set(verdicts)
    if not found:
        return NOT_TESTABLE
    if len(found) == 1:
        return found.pop()
    if FAILS in found:
        return FAILS
    return PARTIALLY if found & {REPRODUCED, PARTIALLY} else INCONCLUSIVE
