"""Paired differences with intervals: the picture that decides."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis import drawing
from stagewise.analysis.claims import HEADLINE, judge_claims
from stagewise.analysis.drawing import COLOURS, INK, MARKERS, WIDTH
from stagewise.analysis.results import Results
from stagewise.analysis.words import number

POSITION = 2
"""Place in the report."""
CAPTION = (
    "Paired differences over seeds with 95 % t intervals, by claim. Bold and filled: the "
    "contrasts that decide a claim; hollow: those shown beside them."
)


def draw(results: Results) -> Figure:
    """Every contrast of the claims in points, by pair, with its 95 % interval."""
    claims = judge_claims(results.study, results.summary)
    claims = claims[(claims["pair"] != "") & (claims["unit"] == "points")]
    claims = claims[(claims["control"] != "") & ~claims["claim"].isin(["A1", "A2"])]
    if claims.empty:
        return drawing.notice("this study has none of the contrasts")
    pairs = list(results.study.config["pairs"])
    groups = list(claims.groupby(["claim", "contrast"], sort=False))
    bounds = claims[["mean", "low", "high"]].abs().to_numpy()
    # A quantile: one interval, or the damage of pruning, can be wider than all others together.
    limit = 1.4 * max(float(np.nanquantile(bounds, 0.9)), 2.0)
    figure = Figure(figsize=(WIDTH, 0.37 * len(groups) + 0.9))
    axes = figure.subplots()
    for y, ((claim, contrast), rows) in enumerate(groups):
        main = rows["role"].iloc[0] == HEADLINE
        # Labels stand above their rows, so that the interval has the whole width.
        axes.annotate(
            f"{claim}  {contrast}",
            (0.01, y - 0.36),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            fontweight="bold" if main else "normal",
            bbox={"facecolor": "#fefefe", "edgecolor": "none", "pad": 0.8},
        )
        for offset, (_, row) in enumerate(rows.iterrows()):
            index = pairs.index(row["pair"])
            level = y - 0.04 + 0.26 * offset
            _interval_row(axes, row, level, index, main, limit)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(len(groups) - 0.4, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in test accuracy, points")
    handles = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], label=pair)
        for i, pair in enumerate(pairs)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _interval_row(
    axes: Axes, row: pd.Series, level: float, index: int, filled: bool, limit: float
) -> None:
    """One contrast in one pair; far outside the headline's range it is an arrow with its value."""
    colour = COLOURS[index]
    if abs(row["mean"]) > limit:
        side = np.sign(row["mean"])
        axes.plot([side * limit * 0.97], [level], "<" if side < 0 else ">", color=colour)
        axes.annotate(
            number(row["mean"], 0),
            (side * limit * 0.94, level),
            ha="left" if side < 0 else "right",
            va="center",
            fontsize=6.5,
        )
        return
    if np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [level, level], color=colour)
    face = colour if filled else "#fefefe"
    axes.plot([row["mean"]], [level], MARKERS[index], color=colour, mfc=face, markersize=5)
