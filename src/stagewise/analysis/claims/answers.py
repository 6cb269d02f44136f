"""What a study answers, in sentences that need no knowledge of the papers.

Phrases per claim are data (``papers/claims.yaml``, or the study's config); numbers, reasons and
what it would take come from ``claims.csv``.
"""

from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.gate import NOT_READY
from stagewise.analysis.claims.numbers import is_signed, short
from stagewise.analysis.claims.rules import (
    DEMONSTRATION,
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    MIXED,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTIALLY,
    REPRODUCED,
    UNHARMED,
)
from stagewise.papers.claims import HEADLINE, Claim, ClaimBook, load_claims

OPEN = (INCONCLUSIVE, NOT_TESTABLE)
POSITIVE = (REPRODUCED, PARTIALLY, MIXED)
DEMONSTRATED, FEW_SEEDS, NOT_RUN = "only demonstrated", "too few seeds", "not run"
NO_HARM = "nothing to remedy"
KINDS = {
    DEMONSTRATED: "It was measured, but this study's data and networks cannot decide it.",
    NO_HARM: "It was measured, but what it would remedy is not shown to be there.",
    FEW_SEEDS: "The seeds that were run neither show it nor exclude it.",
    NOT_RUN: "The study lacks the networks that would decide it.",
}
"""Why a claim can be open → what that means."""
LACKING = "the study lacks"
"""How the reason of a row begins whose arms are not there; what follows are the arms' codes."""
OPEN_BY = {
    DEMONSTRATED: (DEMONSTRATION, NOT_READY, "demonstration only", "gate failed"),
    NO_HARM: (UNHARMED, "no shock to remove"),
}
"""Kind → how its reasons begin, in older files too."""


@dataclass(frozen=True)
class Answer:
    """A claim's answer: one sentence or two. ``kind``: why it is open (``KINDS``), and then the
    sentence says what is open, why, and what it would take; empty where there is an answer."""

    claim: str
    verdict: str
    sentence: str
    kind: str

    @property
    def decided(self) -> bool:
        """Whether there is an answer."""
        return not self.kind


def answers(claims: pd.DataFrame, book: ClaimBook | None = None) -> list[Answer]:
    """An answer per claim of ``claims.csv``, in its order."""
    verdicts = dict(claims[["claim", "claim_verdict"]].drop_duplicates().to_numpy())
    found = []
    for name, rows in claims.groupby("claim", sort=False):
        claim, verdict = _claim(book or load_claims(), rows), str(verdicts[name])
        main = rows[rows["role"] == HEADLINE]
        if verdict in OPEN:
            found.append(Answer(str(name), verdict, _open(claim, main), _kind(verdict, main)))
            continue
        parts = [TELLS[verdict](claim, main), _reservation(claim, rows, verdicts)]
        found.append(Answer(str(name), verdict, " ".join(filter(None, parts)), ""))
    return found


def of_tried_papers(claims: pd.DataFrame) -> pd.DataFrame:
    """The rows of papers of which a study has anything: of the others it says nothing."""
    return claims[claims["n"].groupby(claims["paper"].fillna("")).transform("max") > 0]


def _claim(book: ClaimBook, rows: pd.DataFrame) -> Claim:
    """The claim of some rows; of one that the book does not have, what the rows say of it."""
    first = rows.iloc[0]
    try:
        return book.named(str(first["claim"]))
    except StopIteration:
        return Claim(
            id=str(first["claim"]),
            paper=str(first["paper"]),
            title=str(first["title"]),
            wording=str(first["wording"]),
            source=str(first["source"]),
            holds=f"it holds that {first['title']}",
            fails=f"it does not hold that {first['title']}",
            open=f"whether {first['title']}",
            contrasts=(),
        )


def _kind(verdict: str, main: pd.DataFrame) -> str:
    """Why a claim is open: what at least one measured row says, else that nothing was run."""
    measured = main[main["n"] > 0]
    if measured.empty:
        return NOT_RUN
    if verdict == NOT_TESTABLE:
        for kind, begun in OPEN_BY.items():
            if measured["reason"].str.startswith(begun).any():
                return kind
    return FEW_SEEDS


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


def clear_of_null(row: pd.Series) -> bool:
    """Whether a row's interval alone excludes the tested value, though nothing is shown."""
    return bool(
        row["verdict"] == INCONCLUSIVE and (row["low"] > row["null"] or row["high"] < row["null"])
    )


def _all_told(rows: pd.DataFrame) -> str:
    return _tell(rows, rows["contrast"].nunique() > 1)


def _holds(claim: Claim, rows: pd.DataFrame) -> str:
    return f"Here, {claim.holds}: {_all_told(rows)}."


def _fails(claim: Claim, rows: pd.DataFrame) -> str:
    return f"Here, {claim.fails}: {_all_told(rows)}."


NOT_SHOWN = {
    INCONCLUSIVE: "Not shown",
    NOT_REPRODUCED: "Not so",
    NOT_TESTABLE: "Not tested",
}
"""Verdict of a row → how it is told beside rows that hold."""


def _in_part(claim: Claim, rows: pd.DataFrame) -> str:
    """Where it holds with the numbers, then each other verdict with its rows."""
    named = rows["contrast"].nunique() > 1
    good = rows["verdict"].isin(POSITIVE)
    told = [f"Only in part is it shown here that {claim.holds}: {_tell(rows[good], named)}."]
    others = rows[~good & (rows["n"] > 0)]
    for verdict, part in others.groupby("verdict", sort=False):
        told.append(f"{NOT_SHOWN[str(verdict)]}: {_tell(part, named)}.")
    if absent := int((rows["n"] == 0).sum()):
        told.append(f"Not run: {absent} of the {len(rows)} comparisons that decide it.")
    smaller = rows.loc[rows["verdict"] == PARTIALLY, "reason"].unique()
    told += [f"{str(reason).capitalize()}." for reason in smaller]
    return " ".join(told)


def _tell(rows: pd.DataFrame, named: bool) -> str:
    told = [_told(row, named) for _, row in rows.iterrows()]
    aside = [
        f"{said}, alone clear of zero, but not with all tests counted"
        if clear_of_null(row)
        else said
        for said, (_, row) in zip(told, rows.iterrows(), strict=True)
    ]
    return "; ".join(aside)


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
    absent = rows["reason"].str.startswith(LACKING) & (rows["n"] == 0)
    if absent.any():
        parts.append(f"{', '.join(rows.loc[absent, 'contrast'].unique())} was not run")
    for reason, part in rows[~absent].groupby("reason", sort=False):
        known = part[part["n"] > 0]
        told = "; ".join(_told(row, named) for _, row in known.iterrows())
        parts.append(f"{told}: {reason}" if told else str(reason))
    question = claim.open[0].upper() + claim.open[1:]
    why = "; ".join(parts) or "the study has none of the networks that decide it"
    return f"{question} is open: {why}."


def tally(found: list[Answer]) -> str:
    """``5 only demonstrated, 2 too few seeds, 1 not run``: the open ones, by kind."""
    counts = {kind: sum(answer.kind == kind for answer in found) for kind in KINDS}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
