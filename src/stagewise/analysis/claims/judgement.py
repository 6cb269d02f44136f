"""From a study's results to ``claims.csv``: each claim's contrasts in each pair, with verdicts.

The claims are data (``papers/claims.yaml``); how they are judged stands in ``rules.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stagewise.analysis.claims import rules
from stagewise.analysis.claims.contrasts import Measured
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import NAN, Paired, holm
from stagewise.papers.claims import Claim, Contrast, load_claims

COLUMNS = [
    "claim",
    "paper",
    "title",
    "claim_verdict",
    "pair",
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
    "mean",
    "sd",
    "low",
    "high",
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
    "wording",
    "source",
]


@dataclass(frozen=True)
class Entry:
    """A contrast of a claim in one pair, or, without a pair, of a claim whose arms no pair has.

    ``tested``: the config lists the claim, or it is a guard.
    """

    claim: Claim
    contrast: Contrast
    tested: bool
    pair: str
    measured: Measured | None
    effect: Paired

    @property
    def corrected(self) -> bool:
        """Whether it is one of its paper's tests. A guard is not, nor the rule "above", which sets
        a level and does not compare two arms."""
        listed = self.tested and not self.claim.guard
        return listed and self.contrast.decides and self.contrast.rule != "above"

    @property
    def treatment_mean(self) -> float:
        """Mean of the treatment over the seeds; NaN where it was not measured."""
        return float(self.measured.treatment["value"].mean()) if self.measured else NAN

    @property
    def control_mean(self) -> float:
        """Mean of the control over the seeds; NaN where there is none."""
        control = self.measured.control if self.measured else None
        return NAN if control is None else float(control["value"].mean())


def judge_claims(results: Results) -> pd.DataFrame:
    """A row per claim, contrast and pair (one row without a pair where no pair has the arms).

    A guard stands among them where the study has its arms; no gate and no list binds it.
    """
    entries = list(_entries(results))
    rows = []
    for entry, p_holm in zip(entries, _corrected(entries), strict=True):
        verdict, reason = _verdict(entry, p_holm, results.gate.reason)
        rows.append(_row(entry) | {"p_holm": p_holm, "verdict": verdict, "reason": reason})
    table = pd.DataFrame(rows)
    table["claim_verdict"] = table["claim"].map(_claim_verdicts(entries, table["verdict"]))
    return table[COLUMNS]


def _entries(results: Results) -> Iterator[Entry]:
    book, listed = load_claims(), results.study.config["claims_tested"]
    for claim in book.claims:
        tested = claim.guard or claim.id in listed
        found = [
            Entry(claim, contrast, tested, pair, measured, measured.effect(book.margin))
            for contrast in claim.contrasts
            for pair in results.study.config["pairs"]
            if (measured := results.contrasts.get((claim.id, contrast.name, pair)))
        ]
        nowhere = Entry(claim, claim.contrasts[0], tested, "", None, Paired(0))
        yield from found or ([] if claim.guard else [nowhere])


def _corrected(entries: list[Entry]) -> list[float]:
    """Each entry's p after Holm's correction over the tested headline differences of its paper; NaN
    where it is none of these."""
    p_holm = [NAN] * len(entries)
    tests = [place for place, entry in enumerate(entries) if entry.corrected]
    for paper in {entries[place].claim.paper for place in tests}:
        family = [place for place in tests if entries[place].claim.paper == paper]
        corrected = holm([entries[place].effect.p_t for place in family])
        for place, p in zip(family, corrected, strict=True):
            p_holm[place] = p
    return p_holm


def _verdict(entry: Entry, p_holm: float, gate_reason: str) -> rules.Verdict:
    """Verdict and reason; secondary contrasts carry no verdict."""
    if not entry.measured:
        return rules.NOT_TESTABLE, "the study has no such arms"
    if not entry.contrast.decides:
        return "", "shown beside the headline"
    case = rules.Case(
        paired=entry.effect,
        p_holm=p_holm,
        treatment_mean=entry.treatment_mean,
        control_mean=entry.control_mean,
        published_low=entry.contrast.published[0],
        threshold=entry.contrast.threshold,
        tested=entry.tested,
        gate_reason="" if entry.claim.guard else gate_reason,
    )
    return rules.judge(entry.contrast.rule, case)


def _row(entry: Entry) -> dict[str, Any]:
    """What ``claims.csv`` says of an entry beside its verdict. Without a pair its arms are patterns
    and its published effect is left out."""
    claim, contrast, measured = entry.claim, entry.contrast, entry.measured
    patterns = contrast.treatment.arm, contrast.control.arm if contrast.control else ""
    treatment, control = measured.arms if measured else patterns
    low, high = contrast.published if measured else (NAN, NAN)
    return {
        "claim": claim.id,
        **{key: getattr(claim, key) for key in ("paper", "title", "wording", "source")},
        "pair": entry.pair,
        "role": contrast.role,
        "contrast": contrast.name,
        "unit": contrast.unit,
        "treatment": treatment,
        "treatment_exit": contrast.treatment.exit,
        "control": control,
        "control_exit": contrast.control.exit if contrast.control else "main",
        "treatment_mean": entry.treatment_mean,
        "control_mean": entry.control_mean,
        **entry.effect.columns(),
        "published_low": low,
        "published_high": high,
    }


def _claim_verdicts(entries: list[Entry], verdicts: pd.Series) -> dict[str, str]:
    """Claim to its verdict over its headline entries."""
    found: dict[str, list[str]] = {entry.claim.id: [] for entry in entries}
    for entry, verdict in zip(entries, verdicts, strict=True):
        if entry.contrast.decides:
            found[entry.claim.id].append(verdict)
    return {claim: rules.combine(verdicts) for claim, verdicts in found.items()}
