"""What a study answers, in sentences that need no knowledge of the papers.

Phrases per claim are data (``papers/claims.yaml``); numbers, reasons and what it would take come
from ``claims.csv``.
"""

from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.numbers import is_signed, short
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
from stagewise.papers.claims import HEADLINE, Claim, load_claims

OPEN = (INCONCLUSIVE, NOT_TESTABLE)
POSITIVE = (REPRODUCED, PARTIALLY, MIXED)


@dataclass(frozen=True)
class Answer:
    """A claim's answer: one sentence or a few. ``decided``: whether there is an answer; else the
    sentence says what is open, why, and what it would take."""

    claim: str
    verdict: str
    sentence: str
    decided: bool


def answers(claims: pd.DataFrame) -> list[Answer]:
    """An answer per claim of ``claims.csv``, in its order."""
    book = load_claims()
    verdicts = dict(claims[["claim", "claim_verdict"]].drop_duplicates().to_numpy())
    found = []
    for name, rows in claims.groupby("claim", sort=False):
        claim, verdict = book.named(str(name)), str(verdicts[name])
        main = rows[rows["role"] == HEADLINE]
        if verdict in OPEN:
            found.append(Answer(str(name), verdict, _open(claim, main), False))
            continue
        parts = [TELLS[verdict](claim, main), _reservation(claim, rows, verdicts)]
        found.append(Answer(str(name), verdict, " ".join(filter(None, parts)), True))
    return found


def _told(row: pd.Series, named: bool) -> str:
    """``−0.3 points, between −1.1 and +0.5 (resnet)``; ``named``: with the contrast's name."""
    where = ", ".join(filter(None, (row["pair"], row["contrast"] if named else "")))
    if not row["n"]:
        return f"nothing ({where}: {row['reason']})"
    signed = is_signed(row["unit"], row["control"])
    mean = short(row["mean"], row["unit"], signed)
    if pd.isna(row["low"]):
        return f"{mean} ({where})"
    low, high = (short(row[end], row["unit"], signed).split(" ")[0] for end in ("low", "high"))
    return f"{mean}, between {low} and {high} ({where})"


def _all_told(rows: pd.DataFrame) -> str:
    return _tell(rows, rows["contrast"].nunique() > 1)


def _holds(claim: Claim, rows: pd.DataFrame) -> str:
    return f"Here, {claim.holds}: {_all_told(rows)}."


def _fails(claim: Claim, rows: pd.DataFrame) -> str:
    return f"Here, {claim.fails}: {_all_told(rows)}."


def _in_part(claim: Claim, rows: pd.DataFrame) -> str:
    """Where it holds with the numbers, then each other verdict with its rows and reasons."""
    named = rows["contrast"].nunique() > 1
    good = rows["verdict"].isin(POSITIVE)
    told = [f"Here, {claim.holds}, but only in part. Shown: {_tell(rows[good], named)}."]
    for verdict, part in rows[~good].groupby("verdict", sort=False):
        told.append(f"{str(verdict).capitalize()}: {_tell(part, named)}.")
    smaller = rows.loc[rows["verdict"] == PARTIALLY, "reason"].unique()
    told += [f"{str(reason).capitalize()}." for reason in smaller]
    return " ".join(told)


def _tell(rows: pd.DataFrame, named: bool) -> str:
    return "; ".join(_told(row, named) for _, row in rows.iterrows())


def _both_ways(claim: Claim, rows: pd.DataFrame) -> str:
    return f"Here, it depends: the effect is opposite between pairs or rates: {_all_told(rows)}."


TELLS = {
    REPRODUCED: _holds,
    PARTIALLY: _in_part,
    MIXED: _both_ways,
    NOT_REPRODUCED: _fails,
    HOLDS: _holds,
    FAILS: _fails,
}
"""Verdict → the sentence that tells it."""


def _reservation(claim: Claim, rows: pd.DataFrame, verdicts: dict[str, str]) -> str:
    """That a claim which holds is another cause's doing, where the claim that would show its own
    does not hold; with the other cause's numbers."""
    but = claim.but
    if not but or verdicts.get(claim.id) not in POSITIVE or verdicts.get(but.unless) in POSITIVE:
        return ""
    beside = rows[(rows["contrast"] == but.contrast) & (rows["n"] > 0)]
    shown = verdicts.get(but.unless, NOT_TESTABLE)
    told = (
        f"The gain is {but.doing} doing, not that of {but.own}"
        if shown == NOT_REPRODUCED
        else (f"That any of it is the doing of {but.own} is not shown")
    )
    seen = f": {but.alone} {_tell(beside, False)}" if len(beside) else ""
    return f"{told} ({but.unless} {shown}){seen}."


def _open(claim: Claim, rows: pd.DataFrame) -> str:
    """The question, and each reason once with the rows that it stands for."""
    named = rows["contrast"].nunique() > 1
    parts = []
    for reason, part in rows.groupby("reason", sort=False):
        known = part[part["n"] > 0]
        parts.append(f"{_tell(known, named)}: {reason}" if len(known) else str(reason))
    question = claim.open[0].upper() + claim.open[1:]
    why = "; ".join(parts) or "the study has none of the arms that decide it"
    return f"{question} is open: {why}."
