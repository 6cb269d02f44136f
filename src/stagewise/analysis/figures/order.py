"""Our order of the methods beside the published one."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.tables.order import Order, orders

POSITION = 10
"""Place in the report."""
CAPTION = (
    "Our order of the methods, by mean test accuracy over {n}, beside the published one; a level "
    "line is the same place in both. Spearman’s ρ with its 95 % interval over methods "
    "(Bonett–Wright): what another set of such methods could give. A dagger: the ensemble of "
    "exits. {protocol}"
)
ROW = 0.2
"""Height of a method, inches."""


def draw(results: Results) -> Figure:
    """For every pair with a published order a panel of two columns."""
    found = list(orders(results))
    if not found:
        return drawing.notice("no published order is beside this study’s")
    heights = [ROW * len(order.rows) + 1.0 for order in found]
    figure, grid = drawing.panels(heights, 0)
    for axes, order in zip(grid, found, strict=True):
        _slopes(axes, order)
    return figure


def _slopes(axes: Axes, order: Order) -> None:
    rows, pair = order.rows, order.pair
    left, right = _places(rows["value"]), _places(rows["mean"])
    style: dict[str, Any] = {"va": "center", "fontsize": 7}
    for row, *ends in zip(rows.to_dict("records"), left, right, strict=True):
        name = drawing.method_name(pair.names[row["arm"]])
        colour = drawing.arm_look(pair.part(row["arm"]).iloc[0])[0]
        axes.plot([0, 1], ends, "o-", color=colour, markersize=3.5, lw=1.3)
        axes.text(-0.05, ends[0], f"{name}  {row['value']:.2f}", ha="right", **style)
        axes.text(1.05, ends[1], f"{row['mean']:.1f}  {name}", ha="left", **style)
    axes.set(xlim=(-1.0, 2.0), ylim=(len(rows) - 0.4, -1.5))
    for x, text in ((0, "published, %"), (1, "ours, %")):
        axes.text(x, -1, text, ha="center", va="center", fontsize=7, fontweight="bold")
    axes.set_axis_off()
    beside = textwrap.fill(f"{order.title} ({order.source})", 62)
    axes.set_title(f"{pair.pair}\n{beside}\n{order.said}", fontsize=7, fontweight="normal")


def _places(values: pd.Series) -> NDArray[np.float64]:
    """Place of each value from the top; equal ones stand one below the other."""
    places = np.empty(len(values))
    places[np.argsort(-values.to_numpy(), kind="stable")] = np.arange(len(values))
    return places
