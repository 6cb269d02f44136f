"""``claims.csv`` read back, and its numbers and verdicts in plain words for terminal and pages."""

from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from stagewise.analysis.claims.judgement import COLUMNS
from stagewise.analysis.records.csv_files import read_csv
from stagewise.papers.claims import HEADLINE


def read_claims(file: Path) -> pd.DataFrame:
    """``claims.csv``; raises ``UserError`` where it is missing or broken."""
    return read_csv(file, tuple(COLUMNS), {"unit": ("points", "ratio", "relative")})


def number(value: float, digits: int = 2, signed: bool = True) -> str:
    """A number with a true minus sign, and a plus where ``signed``; no minus before zero."""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    text = text.replace("-", "+" if signed else "") if float(text) == 0 else text
    return text.replace("-", "−")


def effect(row: pd.Series) -> str:
    """One row's effect, such as ``+1.20 points (95 % interval +0.30 to +2.10, n = 6)``."""
    signed = bool(row["control"])
    unit = {"points": " points", "ratio": "×", "relative": ""}[row["unit"]]
    value = number(row["mean"], signed=signed) + unit
    if pd.isna(row["low"]):
        return f"{value} (n = {row['n']:.0f})"
    low, high = number(row["low"], signed=signed), number(row["high"], signed=signed)
    return f"{value} (95 % interval {low} to {high}, n = {row['n']:.0f})"


def contrast_line(row: pd.Series) -> str:
    """A contrast with its pair and its effect, or why there is none."""
    if not row["pair"]:
        return f"{row['contrast']}: {row['reason']}"
    return f"{row['pair']}: {row['contrast']}: {effect(row)}"


def by_claim(claims: pd.DataFrame) -> list[tuple[Hashable, pd.DataFrame]]:
    """Claim id and its rows, in the order of the file."""
    return list(claims.groupby("claim", sort=False))


def headline(claims: pd.DataFrame) -> list[str]:
    """The few lines that ``make reproduce`` prints: one per claim that this study could judge.

    Where it could judge none, one line says why.
    """
    lines, untested = [], []
    for claim, rows in by_claim(claims):
        main = rows[rows["role"] == HEADLINE]
        first = rows.iloc[0]
        if (main["verdict"] == "not testable here").all():
            untested.append(str(claim))
            continue
        lines.append(f"{claim} {first['title']}: {first['claim_verdict']}")
        lines += [f"   {contrast_line(row)}: {row['verdict']}" for _, row in main.iterrows()]
    gate = claims.loc[claims["reason"].str.startswith("study gate"), "reason"]
    if len(gate):
        lines.append(str(gate.iloc[0]))
    if untested:
        lines.append(f"not testable here: {', '.join(untested)} (the report says why)")
    return lines
