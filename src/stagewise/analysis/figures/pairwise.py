"""Every method of a pair against every other, as a matrix."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stagewise.analysis.claims.comparison import MANY, PairComparison, comparisons
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import WIDTH

POSITION = 9
"""Place in the report."""
CAPTION = (
    "Every method against every other: mean paired difference in test accuracy, the row’s minus "
    "the column’s, in points; best mean first ({n}). Blue: the row is better; red: worse. Dot: p "
    "is at most 0.05, adjusted over all pairs of the matrix by the step-down max-T procedure of "
    "joint sign flips. Numbers stand where there is room. A dagger: the ensemble of exits. "
    "{protocol}"
)
DARK = "#232328"
"""Ink on cells, which stay light where the page is dark."""
MOST_NUMBERS = 12
"""Arms of a matrix whose cells hold numbers."""
MOST_LETTERS = 12
"""Of a pair's name that leaves room on the title's line."""
NAMES, CELL = 1.1, 0.09
"""Inches for names beside a matrix, and of a cell at the least."""
LARGE = 9.95
"""Points whose tenths a cell has no room for."""


def draw(results: Results) -> Figure:
    """A matrix per pair."""
    pairs = [pair for pair in comparisons(results) if len(pair.arms) >= MANY]
    if not pairs:
        return drawing.notice("no pair of this study has three methods")
    figure, grid = drawing.panels([WIDTH + 0.2] * len(pairs), 0)
    across, high = figure.get_size_inches()
    larger = max(map(_enlarged, pairs))
    figure.set_size_inches(across * larger, high * larger)
    for axes, pair in zip(grid, pairs, strict=True):
        _matrix(axes, pair)
    return figure


def _enlarged(pair: PairComparison) -> float:
    """How much more than a column the matrix takes: a cell is as high as the name beside it."""
    return max(1.0, (NAMES + CELL * len(pair.arms)) / WIDTH)


def _matrix(axes: Axes, pair: PairComparison) -> None:
    found = pair.pairwise
    arms = list(dict.fromkeys(arm for key in found.index for arm in key))
    places = {arm: place for place, arm in enumerate(arms)}
    few = len(arms) <= MOST_NUMBERS
    largest = max(float(found["mean"].abs().quantile(0.95)), 0.1)
    colours = matplotlib.colormaps["RdBu"]
    for (first, second), member in zip(
        found.index.to_list(), found.to_dict("records"), strict=True
    ):
        for row, column, sign in ((first, second, 1), (second, first, -1)):
            x, y, value = places[column], places[row], sign * float(member["mean"])
            shade = 0.5 + 0.3 * float(np.clip(value / largest, -1, 1))
            axes.add_patch(
                Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, facecolor=to_hex(colours(shade)))
            )
            below = 0.18 if few else 0
            if few:
                text = number(value, 1 if abs(value) < LARGE else 0)
                axes.text(x, y - 0.1, text, color=DARK, fontsize=5.8, ha="center", va="center")
            if member["p_adjusted"] <= 0.05:
                axes.plot([x], [y + below + 0.1 * few], "o", color=DARK, markersize=1.8, mew=0)
    names = [drawing.method_name(pair.names[arm], 1 + few) for arm in arms]
    tight = not few or any("\n" in name for name in names)
    letters: dict[str, Any] = {"fontsize": 6 if tight else 7, "linespacing": 0.9}
    axes.set_xticks(range(len(arms)), names, rotation=90, multialignment="left", **letters)
    axes.set_yticks(range(len(arms)), names, **letters)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set(xlim=(-0.5, len(arms) - 0.5), ylim=(len(arms) - 0.5, -0.5))
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    apart = "\n" if len(pair.title) > MOST_LETTERS else " "
    axes.set_title(f"{pair.title}:{apart}row minus column, points")
