"""From a study's results to ``claims.csv``: each claim's contrasts in each pair, with verdicts.

The claims are data (``papers/claims.yaml``); how they are judged stands in ``rules.py``.

Of a ratio (unit ``ratio``) the file has geometric means: ``mean, low, high`` are the ratio and its
interval, ``null`` the ratio that is tested, ``mde`` the factor that is detectable around it; ``sd``
is that of the natural logarithms, as a ratio has none of its own. ``rate`` is the common learning
rate of a contrast's arms, empty where it is about none. ``missing`` lists the planned seeds without
a value, ``note`` what a reader must know besides; ``mde`` of a tested headline row is at the level
that Holm's correction tests it at.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import exp
from typing import Any

import pandas as pd

from stagewise.analysis.claims import rules
from stagewise.analysis.claims.contrasts import Key, Measured
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import ALPHA, NAN, Paired, detectable_effect, holm
from stagewise.catalogue import OR
from stagewise.papers.claims import Claim, ClaimBook, Contrast

COLUMNS = [
    "claim",
    "paper",
    "title",
    "claim_verdict",
    "pair",
    "rate",
    "role",
    "contrast",
    "unit",
    "treatment",
    "treatment_exit",
    "control",
    "control_exit",
    "treatment_mean",
    "control_mean",
    "n",
    "missing",
    "mean",
    "sd",
    "low",
    "high",
    "null",
    "p_t",
    "p_holm",
    "p_sign_flip",
    "p_sign_flip_minimum",
    "mde",
    "p_equivalence",
    "published_low",
    "published_high",
    "verdict",
    "reason",
    "note",
    "wording",
    "source",
]
BESIDE = "shown beside the headline"


@dataclass(frozen=True)
class Entry:
    """A contrast of a claim at its rate (NaN where it has none) in one pair; without a pair, one
    that no pair has.

    ``pattern``: the contrast before its rate was put in. ``tested``: the config lists the claim, or
    it is a guard. ``measured``: None where ``lacking`` says why. ``effect``: on the contrast's
    scale, its ``mde`` at ``level``, that of its test.
    """

    claim: Claim
    pattern: Contrast
    contrast: Contrast
    rate: float
    tested: bool
    pair: str
    measured: Measured | None
    lacking: str
    effect: Paired
    level: float = ALPHA
    p_holm: float = NAN

    @property
    def corrected(self) -> bool:
        """Whether it is one of its paper's tests; a guard is not."""
        return self.tested and not self.claim.guard and self.contrast.decides

    @property
    def null(self) -> float:
        """The value that is tested, on the contrast's scale."""
        return rules.scaled(self.contrast, rules.null_value(self.contrast))

    @property
    def key(self) -> Key:
        """Claim, contrast and pair."""
        return self.claim.id, self.contrast.name, self.pair


def judge_claims(results: Results) -> pd.DataFrame:
    """A row per claim, contrast and pair, and at every common rate; one without a pair where no
    pair has the arms of a headline contrast.

    A guard stands among them where the study has its arms; no gate and no list binds it.
    """
    entries = _corrected(list(_entries(results)))
    found = {entry.key: entry for entry in entries}
    judged = [_judged(entry, results, found) for entry in entries]
    combined = _claim_verdicts(judged)
    table = pd.DataFrame(
        [
            _row(entry)
            | {"verdict": verdict, "reason": reason, "claim_verdict": combined[entry.claim.id]}
            for entry, (verdict, reason), _ in judged
        ]
    )
    return table[COLUMNS]


def _entries(results: Results) -> Iterator[Entry]:
    book, listed = results.book, results.claims_listed
    for claim in book.claims:
        yield from _claim_entries(results, book, claim, claim.guard or claim.id in listed)


def _claim_entries(
    results: Results, book: ClaimBook, claim: Claim, tested: bool
) -> Iterator[Entry]:
    """A claim's entries. A headline contrast that a pair lacks is one too where the pair has
    another, or where no pair has it."""
    pairs, arms = list(results.study.config["pairs"]), results.arms
    known: dict[Key, Measured | str] = {
        **results.contrasts.lacking,
        **results.contrasts.measured,
    }
    at_rates = [
        (pattern, contrast, rate)
        for pattern in claim.contrasts
        for contrast, rate in [*pattern.at_rates(results.rates)] or [(pattern, NAN)]
    ]
    has = {
        pair: any(c.decides and (claim.id, c.name, pair) in known for _, c, _ in at_rates)
        for pair in pairs
    }
    for pattern, contrast, rate in at_rates:
        absent = Entry(claim, pattern, contrast, rate, tested, "", None, "", Paired(0))
        where = [pair for pair in pairs if (claim.id, contrast.name, pair) in known]
        for pair in pairs:
            value = known.get((claim.id, contrast.name, pair))
            if isinstance(value, Measured):
                null = rules.scaled(contrast, rules.null_value(contrast))
                margin = NAN if contrast.log else book.margin
                yield replace(absent, pair=pair, measured=value, effect=value.effect(margin, null))
            elif value:
                yield replace(absent, pair=pair, lacking=value)
            elif contrast.decides and not claim.guard and where and has[pair]:
                yield replace(absent, pair=pair, lacking=_absence(contrast, pair, pairs, arms))
        if contrast.decides and not claim.guard and not where:
            yield replace(absent, lacking=_absence(contrast, "", pairs, arms))


def _absence(contrast: Contrast, pair: str, pairs: list[str], arms: set[str]) -> str:
    """Why a contrast's arms are not there; without a pair, in no pair."""
    if contrast.rated:
        return "the study has no networks at common rates (two_stage.common_rates)"
    where = [pair] if pair else pairs
    sides = {side.arm: side for side in contrast.sides}
    lacking = [
        name
        for name, side in sides.items()
        if not {arm for each in where for arm in side.arms(each)} & arms
    ]
    said = " and ".join(lacking or sides).replace(OR, " or ")
    return f"the study lacks {said}".replace("{pair}", pair or "{pair}")


def _corrected(entries: list[Entry]) -> list[Entry]:
    """The entries with p and level after Holm's correction over the tested headline rows of their
    paper, those included that cannot be judged; and with what is detectable at that level."""
    changed = list(entries)
    tests = [place for place, entry in enumerate(entries) if entry.corrected]
    for paper in {entries[place].claim.paper for place in tests}:
        family = [place for place in tests if entries[place].claim.paper == paper]
        p_holm, levels = holm([entries[place].effect.p_t for place in family])
        for place, p, level in zip(family, p_holm, levels, strict=True):
            if level == level:
                entry = entries[place]
                mde = detectable_effect(entry.effect.n, entry.effect.sd, level)
                mde = mde if entry.effect.sd > 0 else NAN
                effect = replace(entry.effect, mde=mde)
                changed[place] = replace(entry, p_holm=p, level=level, effect=effect)
    return changed


Judged = tuple[Entry, rules.Verdict, int]
"""An entry, its verdict, and its significant direction (0 where it has none, or is not judged)."""


def _judged(entry: Entry, results: Results, found: dict[Key, Entry]) -> Judged:
    """An entry with its verdict; secondary contrasts carry none."""
    if not entry.contrast.decides:
        return entry, ("", entry.lacking or BESIDE), 0
    if entry.lacking:
        return entry, (rules.NOT_TESTABLE, entry.lacking), 0
    assert entry.measured is not None
    case = rules.Case(
        paired=entry.effect,
        p_holm=entry.p_holm,
        null=entry.null,
        level=entry.level,
        published_low=entry.contrast.published[0],
        tested=entry.tested,
        gate_reason="" if entry.claim.guard else results.gate.reason(entry.measured.arms),
        unharmed=_unharmed(entry, found),
    )
    verdict = rules.judge(entry.contrast.rule, case)
    return entry, verdict, 0 if verdict[0] == rules.NOT_TESTABLE else case.direction


def _unharmed(entry: Entry, found: dict[Key, Entry]) -> str:
    """Why there is no harm that could be removed; empty where it is shown, or none is needed."""
    if not entry.contrast.given:
        return ""
    claim, name = entry.contrast.given
    harm = found.get((claim, name, entry.pair))
    if not harm or not harm.measured:
        return f"{rules.UNHARMED}: {claim} has no row here"
    if harm.effect.low > harm.null:
        return ""
    shown = _columns(harm)
    low, high = (number(shown[end], signed=False) for end in ("low", "high"))
    return (
        f"{rules.UNHARMED}: {claim}, {name} is {number(shown['mean'], signed=False)}, between"
        f" {low} and {high}, not shown to be above {harm.contrast.threshold:g}"
    )


def _columns(entry: Entry) -> dict[str, float]:
    """The entry's statistics in the contrast's unit."""
    columns = {**entry.effect.columns(), "null": rules.null_value(entry.contrast)}
    if entry.contrast.log:
        columns |= {name: exp(columns[name]) for name in ("mean", "low", "high", "mde")}
    return columns


def _row(entry: Entry) -> dict[str, Any]:
    """What ``claims.csv`` says of an entry beside its verdict. Without a pair its arms are patterns
    and its published effect is left out."""
    claim, contrast, measured = entry.claim, entry.contrast, entry.measured
    arms = [side.arm.format(pair=entry.pair) if entry.pair else side.arm for side in contrast.sides]
    if measured:  # of several that a side names, the one that was taken
        arms = [arm for arm in measured.arms if arm]
    low, high = contrast.published if measured else (NAN, NAN)
    return {
        "claim": claim.id,
        **{key: getattr(claim, key) for key in ("paper", "title", "wording", "source")},
        "pair": entry.pair,
        "rate": entry.rate,
        "role": contrast.role,
        "contrast": contrast.name,
        "unit": contrast.unit,
        "treatment": arms[0],
        "treatment_exit": contrast.treatment.exit,
        "control": arms[1] if contrast.control else "",
        "control_exit": contrast.control.exit if contrast.control else "main",
        "treatment_mean": measured.treatment_mean if measured else NAN,
        "control_mean": measured.control_mean if measured else NAN,
        **_columns(entry),
        "p_holm": entry.p_holm,
        "missing": ", ".join(map(str, measured.missing)) if measured else "",
        "note": _note(measured) if measured else "",
        "published_low": low,
        "published_high": high,
    }


def _note(measured: Measured) -> str:
    """What a reader must know: seeds without a value, and what the interval leaves out."""
    gone = ", ".join(map(str, measured.missing))
    return "; ".join(filter(None, (f"without seeds {gone}" if gone else "", measured.note)))


def _claim_verdicts(judged: Iterable[Judged]) -> dict[str, str]:
    """Claim to its verdict over its headline entries."""
    verdicts: dict[str, list[str]] = {}
    directions: dict[tuple[str, str], set[int]] = {}
    for entry, (verdict, _), direction in judged:
        found = verdicts.setdefault(entry.claim.id, [])
        if entry.contrast.decides:
            found.append(verdict)
            directions.setdefault((entry.claim.id, entry.pattern.name), set()).add(direction)
    opposed = {claim for (claim, _), seen in directions.items() if {1, -1} <= seen}
    return {
        claim: rules.combine(found, opposed=claim in opposed) for claim, found in verdicts.items()
    }
