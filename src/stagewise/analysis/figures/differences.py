"""Paired differences with intervals: the picture that decides."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import BLUE, GREY, INK, PAPER, WIDTH
from stagewise.papers.claims import HEADLINE

POSITION = 1
"""Place in the report."""
CAPTION = (
    "Paired differences over seeds, mean and 95 % t interval (n = {n}), by claim: right of zero "
    "the first-named network is better; an interval across zero decides nothing. Bold and filled: "
    "the contrasts that decide a claim; hollow: those shown beside them. An arrow: the interval "
    "goes on, or the value lies, outside the picture. Grey: the range that the papers report, on "
    "their own data sets. {protocol}"
)
LINE = 0.14
"""Height of a text line or an interval, inches."""


def draw(results: Results) -> Figure:
    """Every contrast of the claims in points, by pair, with its 95 % interval."""
    claims = judge_claims(results)
    claims = claims[(claims["n"] > 0) & (claims["unit"] == "points")]
    claims = claims[(claims["control"] != "") & ~claims["claim"].isin(["A1", "A2"])]
    if claims.empty:
        return drawing.notice("this study has none of the contrasts")
    groups = list(claims.groupby(["claim", "contrast"], sort=False))
    deciding = claims[claims["role"] == HEADLINE]
    limit = 1.2 * drawing.reach(pd.concat([deciding[end] for end in ("mean", "low", "high")]))
    # A group takes the lines of its name, one for each pair, and a bit of air.
    wide = int(66 * drawing.width() / WIDTH)
    names = [textwrap.wrap(f"{claim}  {contrast}", wide) for (claim, contrast), _ in groups]
    heights = [0.5 + len(lines) + len(rows) for lines, (_, rows) in zip(names, groups, strict=True)]
    tops = np.concatenate([[0], np.cumsum(heights)])
    figure = Figure(figsize=(drawing.width(), LINE * (tops[-1] + 4.5)))
    axes = figure.subplots()
    for top, lines, (_, rows) in zip(tops, names, groups, strict=False):
        main = rows["role"].iloc[0] == HEADLINE
        published = rows[["published_low", "published_high"]].iloc[0]
        first = top + 0.35 + len(lines)
        if published.notna().all():
            low, high = published
            middle, height = first - 0.5 + len(rows) / 2, len(rows) - 0.1
            axes.barh(middle, high - low, height, left=low, color=GREY, alpha=0.3, zorder=0.5)
        # Names stand above their intervals, so that these have the whole width.
        label = axes.annotate(
            "\n".join(lines),
            (0.0, top + len(lines) / 2),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            linespacing=1.0,
            fontweight="bold" if main else "normal",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
        )
        label.set_in_layout(False)
        for offset, (_, row) in enumerate(rows.iterrows()):
            _interval_row(axes, row, first + offset, main, limit)
            axes.annotate(
                row["pair"],
                (0.0, first + offset),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.3},
            ).set_in_layout(False)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    # Pairs' names stand left of what is drawn, where they are short.
    room = min(0.04 * float(claims["pair"].str.len().max()), 0.3)
    axes.set_xlim(-limit * (1 + room), limit)
    axes.set_ylim(tops[-1], -0.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in test accuracy, points")
    if claims["published_low"].notna().any():
        drawing.legend_below(figure, [Patch(color=GREY, alpha=0.3, lw=0, label="published")])
    return figure


def _interval_row(axes: Axes, row: pd.Series, level: float, filled: bool, limit: float) -> None:
    """One contrast in one pair; what lies outside the picture is an arrow at its edge."""
    colour, marker = BLUE, "o"
    if abs(row["mean"]) > limit:
        side = np.sign(row["mean"])
        axes.plot([side * limit * 0.7], [level], "<" if side < 0 else ">", color=colour)
        axes.annotate(
            number(row["mean"], 0),
            (side * limit * 0.66, level),
            ha="left" if side < 0 else "right",
            va="center",
            fontsize=7,
        )
        return
    if np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [level, level], color=colour)
        for end, arrow in (("low", "<"), ("high", ">")):
            if abs(row[end]) > limit:
                axes.plot([np.sign(row[end]) * limit * 0.98], [level], arrow, color=colour)
    face = colour if filled else PAPER
    axes.plot([row["mean"]], [level], marker, color=colour, mfc=face, markersize=5)
