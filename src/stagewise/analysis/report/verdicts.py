"""The claims as the report shows them: sentences, numbers, intervals, single differences."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from stagewise.analysis.claims.contrasts import Measured
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.rules import (
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTIALLY,
    REPRODUCED,
)
from stagewise.analysis.claims.wording import by_claim, number
from stagewise.analysis.report.provenance import Provenance
from stagewise.papers.claims import HEADLINE

SIGNS = {
    REPRODUCED: "✓",
    PARTIALLY: "◐",
    NOT_REPRODUCED: "✗",
    INCONCLUSIVE: "?",
    NOT_TESTABLE: "–",
    HOLDS: "✓",
    FAILS: "✗",
}
"""A sign beside each verdict's colour, for those who do not see it."""
SENTENCES = {
    REPRODUCED: "The claim holds here.",
    PARTIALLY: "The claim holds here in part.",
    NOT_REPRODUCED: "The claim does not hold here.",
    INCONCLUSIVE: "This study does not settle the claim.",
    NOT_TESTABLE: "This study cannot decide the claim.",
    HOLDS: "The guard holds: what must not help does not.",
    FAILS: "The guard fails: trust no verdict of this study before this is understood.",
}
UNITS = {"points": " points", "ratio": "×", "relative": ""}


@dataclass(frozen=True)
class Strip:
    """An interval as a picture, each place in percent of its width."""

    zero: float
    low: float
    high: float
    mean: float
    published: tuple[float, float] | None


@dataclass(frozen=True)
class ContrastEntry:
    """One contrast in one pair as the page shows it.

    ``arms``: links to both. ``seeds``: seed → linked difference.
    """

    name: str
    pair: str
    headline: bool
    effect: str
    numbers: dict[str, str]
    strip: Strip | None
    verdict: str
    reason: str
    arms: Markup
    seeds: dict[int, Markup]


@dataclass(frozen=True)
class ClaimEntry:
    """A claim as the page shows it: its verdict and its contrasts."""

    id: str
    paper: str
    title: str
    wording: str
    source: str
    verdict: str
    sign: str
    sentence: str
    contrasts: list[ContrastEntry]

    @property
    def decided(self) -> bool:
        """Whether this study decides it."""
        return self.verdict != NOT_TESTABLE

    @property
    def headlines(self) -> list[ContrastEntry]:
        """The contrasts that decide it."""
        return [contrast for contrast in self.contrasts if contrast.headline]

    @property
    def seeds(self) -> list[int]:
        """Seeds of any of its contrasts."""
        return sorted(set().union(*(contrast.seeds for contrast in self.contrasts)))

    @property
    def why(self) -> str:
        """The reasons of its headline contrasts, each once."""
        if not self.headlines:
            return "the study has the arms of none of its deciding contrasts"
        reasons = [row.reason for row in self.headlines if row.verdict == self.verdict]
        return "; ".join(dict.fromkeys(reasons))


def claims_shown(
    results: Results, claims: pd.DataFrame, provenance: Provenance
) -> list[ClaimEntry]:
    """Every claim of ``claims.csv`` with what the page says of it."""
    shown = []
    for claim, rows in by_claim(claims):
        first = rows.iloc[0]
        contrasts = []
        for _, row in rows.iterrows():
            measured = results.contrasts.get((str(claim), row["contrast"], row["pair"]))
            alike = rows[(rows["unit"] == row["unit"]) & (rows["role"] == row["role"])]
            contrasts.append(_contrast(row, measured, alike, provenance))
        verdict = first["claim_verdict"]
        texts = (first["paper"], first["title"], first["wording"], first["source"], verdict)
        marks = (SIGNS.get(verdict, ""), SENTENCES.get(verdict, ""))
        shown.append(ClaimEntry(str(claim), *texts, *marks, contrasts))
    return shown


def _contrast(
    row: pd.Series, measured: Measured | None, alike: pd.DataFrame, provenance: Provenance
) -> ContrastEntry:
    anchors = provenance.arm_anchors
    arms = [row[side] for side in ("treatment", "control") if row[side] in anchors]
    return ContrastEntry(
        name=row["contrast"],
        pair=row["pair"],
        headline=row["role"] == HEADLINE,
        effect=_effect(row) if row["pair"] else "",
        numbers=_numbers(row) if row["pair"] else {},
        strip=_strip(row, alike) if pd.notna(row["low"]) else None,
        verdict=row["verdict"],
        reason=row["reason"],
        arms=Markup(" against ").join(provenance.link(arm, [anchors[arm]]) for arm in arms),
        seeds=_single_differences(measured, provenance) if measured else {},
    )


def _effect(row: pd.Series) -> str:
    """``+1.20 points [+0.30, +2.10], n = 6``; the bracket is the 95 % interval."""
    signed = bool(row["control"])
    value = number(row["mean"], signed=signed) + UNITS[row["unit"]]
    if pd.notna(row["low"]):
        value += " [{}, {}]".format(*(number(row[end], signed=signed) for end in ("low", "high")))
    return f"{value}, n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{row['n']:.0f}"


def _numbers(row: pd.Series) -> dict[str, str]:
    """p-values, detectable and published effect under their headings, as far as there are any."""
    unit, compared = UNITS[row["unit"]], bool(row["control"])
    found = {}
    if pd.notna(row["p_holm"]):
        found["p (t, Holm)"] = _probability(row["p_holm"])
    if compared and row["n"] > 1:
        least = _probability(row["p_sign_flip_minimum"])
        found["p (sign flips)"] = f"{_probability(row['p_sign_flip'])}, least {least}"
    if compared and pd.notna(row["mde"]):
        found["Detectable"] = number(row["mde"], signed=False) + unit
    if pd.notna(row["published_low"]):
        ends = (number(row[name]) for name in ("published_low", "published_high"))
        found["Published"] = " to ".join(ends) + unit
    return found


def _probability(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _strip(row: pd.Series, alike: pd.DataFrame) -> Strip:
    """Places on a scale that the claim's contrasts of equal unit and role share."""
    ends = alike[["low", "high", "published_low", "published_high"]].to_numpy(float)
    known = [0.0, *(value for value in ends.ravel() if pd.notna(value))]
    least, most = min(known), max(known)
    size = (most - least) or 1.0

    def place(value: float) -> float:
        return round(float(3 + 94 * (value - least) / size), 1)

    is_published = pd.notna(row["published_low"])
    return Strip(
        zero=place(0),
        low=place(row["low"]),
        high=place(row["high"]),
        mean=place(row["mean"]),
        published=(place(row["published_low"]), place(row["published_high"]))
        if is_published
        else None,
    )


def _single_differences(measured: Measured, provenance: Provenance) -> dict[int, Markup]:
    """Seed → its difference (or its value, where nothing is compared), linked to the runs."""
    compared, anchors = measured.control is not None, provenance.run_anchors
    found: dict[int, Markup] = {}
    for seed, difference in zip(measured.seeds, measured.differences, strict=True):
        runs = [anchors[path] for path in measured.runs(seed)]
        found[seed] = provenance.link(number(difference, signed=compared), runs)
    return found
