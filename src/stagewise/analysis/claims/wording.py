"""``claims.csv`` read back, and its numbers and verdicts in plain words for terminal and pages."""

import textwrap
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from stagewise.analysis.claims.answers import answers
from stagewise.analysis.claims.judgement import COLUMNS
from stagewise.analysis.claims.numbers import is_signed, number
from stagewise.analysis.records.csv_files import read_csv
from stagewise.papers.claims import UNITS

WIDTH = 100
"""Columns of a terminal's lines."""


def read_claims(file: Path) -> pd.DataFrame:
    """``claims.csv``; raises ``UserError`` where it is missing or broken."""
    return read_csv(file, tuple(COLUMNS), {"unit": tuple(UNITS)})


def effect(row: pd.Series) -> str:
    """One row's effect, such as ``+1.20 points (95 % interval +0.30 to +2.10, n = 6)``."""
    signed = is_signed(row["unit"], row["control"])
    value = number(row["mean"], signed=signed) + UNITS[row["unit"]].text
    if pd.isna(row["low"]):
        return f"{value} (n = {row['n']:.0f})"
    low, high = number(row["low"], signed=signed), number(row["high"], signed=signed)
    return f"{value} (95 % interval {low} to {high}, n = {row['n']:.0f})"


def by_claim(claims: pd.DataFrame) -> list[tuple[Hashable, pd.DataFrame]]:
    """Claim id and its rows, in the order of the file."""
    return list(claims.groupby("claim", sort=False))


def headline(claims: pd.DataFrame) -> list[str]:
    """The lines that ``make reproduce`` ends with: what was answered, then what was not and why."""
    found = answers(claims)
    lines: list[str] = []
    for title, decided in (("What this study answers:", True), ("What it leaves open:", False)):
        chosen = [answer for answer in found if answer.decided == decided]
        lines += [title] if chosen else []
        for answer in chosen:
            text = f"{answer.claim} {answer.verdict}. {answer.sentence}"
            lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="      ")
    return lines
