"""Every method of a pair against KD and against the student alone, with what it costs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stagewise.analysis.claims.comparison import ALONE, PairComparison, comparisons
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK, PAPER
from stagewise.analysis.tables.comparison import relative_macs

POSITION = 8
"""Place in the report."""
CAPTION = (
    "Methods, the best mean first, with that mean in percent. Every dot is a seed’s difference in "
    "test accuracy to the reference above the panel, the diamond their mean, the bar its "
    "simultaneous 95 % interval over all methods of the panel (Šidák’s t; n = {n}); filled: p "
    "adjusted over the panel (step-down max-T of joint sign flips) is at most 0.05. An arrow: the "
    "bar goes on outside. Cost: multiply-adds of training, teacher’s answers included, over those "
    "of plain KD, where the records have them. A dagger: the ensemble of exits. A method has one "
    "colour in all figures. {protocol}"
)
ROW, TWO_LINES = 0.185, 0.25
"""Height of a method's row, inches: where all names have a line, and where one has two."""
COST = "cost,\n× KD"
TITLE: dict[str, Any] = {"fontsize": 7, "fontweight": "normal"}


def draw(results: Results) -> Figure:
    """For every pair a row of panels: differences to each reference, and costs."""
    pairs = list(comparisons(results))
    if not pairs:
        return drawing.notice("this study has no methods to compare")
    names = [[drawing.method_name(pair.names[arm], 2) for arm in pair.ranked] for pair in pairs]
    heights = [
        (TWO_LINES if any("\n" in name for name in each) else ROW) * max(len(each), 3) + 1.05
        for each in names
    ]
    figure = Figure(figsize=(drawing.width(), sum(heights)))
    parts = figure.subfigures(len(pairs), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, pair, shown in zip(parts, pairs, names, strict=True):
        relative = relative_macs(pair).reindex(pair.ranked)
        counted = bool(relative.notna().any())
        ratios = [1.0] * len(pair.references) + [0.5] * counted
        grid = part.subplots(1, len(ratios), squeeze=False, sharey=True, width_ratios=ratios)[0]
        for axes, (name, arm) in zip(grid, pair.references.items(), strict=False):
            _differences(axes, pair, arm)
            against = "student alone" if name == ALONE else drawing.method_name(pair.names[arm])
            axes.set_title(f"minus\n{against}", **TITLE)
        if counted:
            _costs(grid[-1], pair, relative)
        means = pair.accuracy.mean()
        labels = [f"{name}  {means[arm]:.1f}" for name, arm in zip(shown, pair.ranked, strict=True)]
        grid[0].set_yticks(range(len(labels)), labels, fontsize=7, linespacing=0.95)
        grid[0].set_ylim(len(labels) - 0.4, -0.6)
        for axes in grid:
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", visible=False)
        part.suptitle(pair.title, x=0.01, ha="left", fontsize=8.5, fontweight="bold")
        part.supxlabel("difference in test accuracy, points", fontsize=7.5)
    return figure


def _differences(axes: Axes, pair: PairComparison, reference: str) -> None:
    """A row per arm, in the order of the accuracies; none for the reference itself."""
    values, family = pair.differences(reference), pair.family(reference)
    low, high = _limits(values, family)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(low, high)
    for y, arm in enumerate(pair.ranked):
        if arm not in values:
            continue
        colour = drawing.arm_look(pair.part(arm).iloc[0])[0]
        seeds = values[arm]
        if not low <= seeds.mean() <= high:
            _outside(axes, y, float(seeds.mean()), colour)
            continue
        spread = np.linspace(-0.2, 0.2, len(seeds)) if len(seeds) > 1 else np.zeros(1)
        axes.plot(seeds, y + spread, "o", color=colour, markersize=2.2, alpha=0.6, mew=0)
        if arm in family.index:
            _mean(axes, y, family.loc[[arm]].iloc[0], colour)
        else:
            axes.plot([seeds.mean()], [y], "D", color=colour, mfc=PAPER, markersize=4)


def _limits(values: pd.DataFrame, family: pd.DataFrame) -> tuple[float, float]:
    """Ends of a panel: zero is in it, all seeds but those of few very bad methods, and all but the
    widest intervals."""
    most = drawing.reach(values.mean())
    seeds = values.loc[:, values.mean().abs() <= most].to_numpy().ravel()
    lows, highs = (family[end].dropna().clip(-1.5 * most, 1.5 * most) for end in ("low", "high"))
    low = min(-0.5, *seeds, *(np.quantile(lows, [0.1]) if len(lows) else ()))
    high = max(0.5, *seeds, *(np.quantile(highs, [0.9]) if len(highs) else ()))
    air = 0.05 * (high - low)
    return low - air, high + air


def _outside(axes: Axes, y: float, mean: float, colour: str) -> None:
    """An arrow at the edge, with the mean that lies beyond."""
    left, right = axes.get_xlim()
    place = left if mean < left else right
    side = 1 if mean < left else -1
    axes.plot([place], [y], "<" if side > 0 else ">", color=colour, markersize=4, clip_on=False)
    text: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 6.5}
    across = "left" if side > 0 else "right"
    axes.annotate(number(mean, 1), (place, y), (6 * side, 0), ha=across, **text)


def _mean(axes: Axes, y: float, member: pd.Series, colour: str) -> None:
    """A mean with its interval; where this leaves the panel, an arrow."""
    left, right = axes.get_xlim()
    if np.isfinite(member["low"]):
        low, high = max(member["low"], left), min(member["high"], right)
        axes.plot([low, high], [y, y], color=colour, lw=1.2)
        inside = 0.03 * (right - left)
        if member["low"] < left:
            axes.plot([left + inside], [y], "<", color=colour, markersize=3.5, mew=0)
        if member["high"] > right:
            axes.plot([right - inside], [y], ">", color=colour, markersize=3.5, mew=0)
    face = colour if member["p_adjusted"] <= 0.05 else PAPER
    axes.plot([member["mean"]], [y], "D", color=colour, mfc=face, markersize=4, mew=0.9)


def _costs(axes: Axes, pair: PairComparison, relative: pd.Series) -> None:
    """A bar per arm, with its number."""
    top = float(relative.max())
    for y, arm in enumerate(pair.ranked):
        cost = float(relative[arm])
        if np.isfinite(cost):
            axes.barh(y, cost, 0.5, color=GREY, alpha=0.45, lw=0)
            axes.text(cost + 0.04 * top, y, f"{cost:.1f}", va="center", fontsize=6.5)
    axes.set_xlim(0, 1.45 * top)
    axes.set_xticks([1], ["1"])
    axes.set_title(COST, **TITLE)
