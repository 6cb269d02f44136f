"""The claims as the report shows them: sentences, numbers, intervals, single differences."""

import math
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from stagewise.analysis.claims.answers import LACKING, answers, of_tried_papers
from stagewise.analysis.claims.contrasts import Measured
from stagewise.analysis.claims.mechanism import sentences
from stagewise.analysis.claims.numbers import is_signed, number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.rules import (
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    MIXED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTIALLY,
    REPRODUCED,
)
from stagewise.analysis.claims.wording import by_claim
from stagewise.analysis.report.provenance import Provenance
from stagewise.papers.claims import HEADLINE, UNITS

SIGNS = {
    REPRODUCED: "✓",
    PARTIALLY: "◐",
    MIXED: "±",
    NOT_REPRODUCED: "✗",
    INCONCLUSIVE: "?",
    NOT_TESTABLE: "–",
    HOLDS: "✓",
    FAILS: "✗",
}
"""A sign beside each verdict's colour, for those who do not see it."""


@dataclass(frozen=True)
class Strip:
    """An interval as a picture, each place in percent of its width; ``null``: the tested value.
    ``ends``: numbers at the axis's ends, the second with its unit."""

    null: float
    low: float
    high: float
    mean: float
    published: tuple[float, float] | None
    ends: tuple[str, str]


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
    note: str
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
    answer: str
    kind: str
    chapter: str
    contrasts: list[ContrastEntry]

    @property
    def decided(self) -> bool:
        """Whether this study answers it."""
        return not self.kind

    @property
    def measured(self) -> bool:
        """Whether any of its contrasts has a value."""
        return any(contrast.effect for contrast in self.contrasts)

    @property
    def headlines(self) -> list[ContrastEntry]:
        """The contrasts that decide it."""
        return [contrast for contrast in self.contrasts if contrast.headline]

    @property
    def seeds(self) -> list[int]:
        """Seeds of any of its contrasts."""
        return sorted(set().union(*(contrast.seeds for contrast in self.contrasts)))


def claims_shown(
    results: Results, claims: pd.DataFrame, provenance: Provenance
) -> list[ClaimEntry]:
    """Every claim of ``claims.csv`` with what the page says of it; none of a paper of which the
    study has nothing."""
    shown, claims = [], of_tried_papers(claims)
    told = {answer.claim: answer for answer in answers(claims, results.book)}
    known = {claim.id: claim for claim in results.book.claims}
    for claim, rows in by_claim(claims):
        first = rows.iloc[0]
        contrasts = []
        for _, row in rows.iterrows():
            measured = results.contrasts.measured.get((str(claim), row["contrast"], row["pair"]))
            alike = rows[(rows["unit"] == row["unit"]) & (rows["role"] == row["role"])]
            contrasts.append(_contrast(row, measured, alike, provenance))
        verdict = first["claim_verdict"]
        texts = (first["paper"], first["title"], first["wording"], first["source"], verdict)
        answer, book = told[str(claim)], known.get(str(claim))
        beside = sentences(results, book.within_arms) if book and book.within_arms else ()
        sentence = " ".join([provenance.in_words(answer.sentence), *beside])
        said = (SIGNS.get(verdict, ""), sentence, answer.kind, book.chapter if book else "")
        shown.append(ClaimEntry(str(claim), *texts, *said, contrasts))
    return shown


def _contrast(
    row: pd.Series, measured: Measured | None, alike: pd.DataFrame, provenance: Provenance
) -> ContrastEntry:
    anchors = provenance.arm_anchors
    arms = [row[side] for side in ("treatment", "control") if row[side] in provenance.names]
    return ContrastEntry(
        name=row["contrast"],
        pair=row["pair"],
        headline=row["role"] == HEADLINE,
        effect=_effect(row) if row["n"] else "",
        numbers=_numbers(row) if row["n"] else {},
        strip=_strip(row, alike) if pd.notna(row["low"]) else None,
        verdict=row["verdict"],
        reason="it was not run"
        if row["reason"].startswith(LACKING)
        else provenance.in_words(row["reason"]),
        note=provenance.in_words(row["note"]),
        arms=Markup(" against ").join(
            provenance.link(provenance.names[arm], [anchors[arm]]) for arm in arms
        ),
        seeds=_single_differences(measured, provenance) if measured else {},
    )


def _effect(row: pd.Series) -> str:
    """``+1.20 points [+0.30, +2.10], n = 6``; the bracket is the 95 % interval."""
    signed = is_signed(row["unit"], row["control"])
    value = number(row["mean"], signed=signed) + UNITS[row["unit"]].text
    if pd.notna(row["low"]):
        value += " [{}, {}]".format(*(number(row[end], signed=signed) for end in ("low", "high")))
    return f"{value}, n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{row['n']:.0f}"


def _numbers(row: pd.Series) -> dict[str, str]:
    """p-values, detectable and published effect under their headings, as far as there are any."""
    unit, compared = UNITS[row["unit"]], bool(row["control"])
    found = {}
    if row["null"] != 0:
        found["Tested against"] = f"{row['null']:g}{unit.text}"
    if pd.notna(row["p_holm"]):
        found["Chance (all tests counted)"] = _probability(row["p_holm"])
    if row["n"] > 1:
        least = _probability(row["p_sign_flip_minimum"])
        found["Chance (signs turned)"] = f"{_probability(row['p_sign_flip'])}, least {least}"
    if compared and pd.notna(row["mde"]):
        found["Detectable"] = ("factor " if unit.log else "") + number(row["mde"], signed=False)
        found["Detectable"] += "" if unit.log else unit.text
    if pd.notna(row["published_low"]):
        ends = (number(row[name]) for name in ("published_low", "published_high"))
        found["Published"] = " to ".join(ends) + unit.text
    return found


def _probability(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def scaled(value: float, log: bool) -> float:
    """A value on the scale of its picture."""
    return math.log(value) if log else value


def _strip(row: pd.Series, alike: pd.DataFrame) -> Strip:
    """Places on a scale that the claim's contrasts of equal unit and role share; of ratios, on a
    log scale."""
    log = UNITS[row["unit"]].log
    ends = alike[["low", "high", "published_low", "published_high", "null"]].to_numpy(float).ravel()
    known = [scaled(value, log) for value in ends if pd.notna(value)]
    least, most = min(known), max(known)
    size = (most - least) or 1.0

    def place(value: float) -> float:
        return round(float(3 + 94 * (scaled(value, log) - least) / size), 1)

    signed = is_signed(row["unit"], row["control"])
    first, last = (math.exp(end) if log else end for end in (least, most))
    is_published = pd.notna(row["published_low"])
    return Strip(
        null=place(row["null"]),
        low=place(row["low"]),
        high=place(row["high"]),
        mean=place(row["mean"]),
        published=(place(row["published_low"]), place(row["published_high"]))
        if is_published
        else None,
        ends=(number(first, 1, signed), number(last, 1, signed) + UNITS[row["unit"]].text),
    )


def _single_differences(measured: Measured, provenance: Provenance) -> dict[int, Markup]:
    """Seed → its difference (or its value, where nothing is compared), linked to the runs."""
    signed, anchors = measured.control is not None and not measured.log, provenance.run_anchors
    found: dict[int, Markup] = {}
    for seed, difference in zip(measured.seeds, measured.shown, strict=True):
        runs = [anchors[path] for path in measured.runs(seed)]
        found[seed] = provenance.link(number(difference, signed=signed), runs)
    return found
