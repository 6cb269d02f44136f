"""Paired differences with intervals: the picture that decides."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from stagewise.analysis.claims.judgement import judge_claims
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK, PAPER, WIDTH
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
    pairs = list(results.study.config["pairs"])
    groups = list(claims.groupby(["claim", "contrast"], sort=False))
    bounds = claims[["mean", "low", "high"]].abs().to_numpy()
    # A quantile: one interval, or the damage of pruning, can be wider than all others together.
    limit = 1.3 * max(float(np.nanquantile(bounds, 0.9)), 2.0)
    # A group takes a line for its name, one for each pair, and a bit of air.
    heights = [1.4 + len(rows) for _, rows in groups]
    tops = np.concatenate([[0], np.cumsum(heights)])
    figure = Figure(figsize=(WIDTH, LINE * (tops[-1] + 5.5)))
    axes = figure.subplots()
    for top, ((claim, contrast), rows) in zip(tops, groups, strict=False):
        main = rows["role"].iloc[0] == HEADLINE
        published = rows[["published_low", "published_high"]].iloc[0]
        if published.notna().all():
            low, high = published
            middle, height = top + 0.85 + len(rows) / 2, len(rows) - 0.1
            axes.barh(middle, high - low, height, left=low, color=GREY, alpha=0.3, zorder=0.5)
        # Names stand above their intervals, so that these have the whole width.
        name = textwrap.shorten(f"{claim}  {contrast}", 64, placeholder=" …")
        label = axes.annotate(
            name,
            (0.0, top + 0.5),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            fontweight="bold" if main else "normal",
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
        )
        label.set_in_layout(False)
        for offset, (_, row) in enumerate(rows.iterrows()):
            _interval_row(axes, row, top + 1.35 + offset, pairs.index(row["pair"]), main, limit)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(tops[-1], -0.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in test accuracy, points")
    handles: list[Line2D | Patch] = []
    for index, pair in enumerate(pairs):
        colour, marker = drawing.look(index)
        handles.append(Line2D([], [], color=colour, marker=marker, label=pair))
    if claims["published_low"].notna().any():
        handles.append(Patch(color=GREY, alpha=0.3, lw=0, label="published"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _interval_row(
    axes: Axes, row: pd.Series, level: float, index: int, filled: bool, limit: float
) -> None:
    """One contrast in one pair; what lies outside the picture is an arrow at its edge."""
    colour, marker = drawing.look(index)
    if abs(row["mean"]) > limit:
        side = np.sign(row["mean"])
        axes.plot([side * limit * 0.97], [level], "<" if side < 0 else ">", color=colour)
        axes.annotate(
            number(row["mean"], 0),
            (side * limit * 0.93, level),
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
