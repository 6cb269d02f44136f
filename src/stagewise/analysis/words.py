"""Verdicts in plain words, for the terminal and the top of the report."""

from collections.abc import Hashable

import pandas as pd


def effect(row: pd.Series) -> str:
    """One row's effect, such as ``+1.2 points (95 % interval +0.3 to +2.1, n = 6)``."""
    signed = "+" if row["control"] else ""
    unit = {"points": " points", "ratio": "×", "relative": ""}[row["unit"]]
    value = f"{row['mean']:{signed}.2f}{unit}"
    if pd.isna(row["low"]):
        return f"{value} (n = {row['n']:.0f})"
    return (
        f"{value} (95 % interval {row['low']:{signed}.2f} to {row['high']:{signed}.2f}, "
        f"n = {row['n']:.0f})"
    )


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
        main = rows[rows["role"] == "headline"]
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
