"""The figure of accuracy against MACs: dense, pruned and recovered networks of each chain."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from stagewise.analysis.claims.recovery import at_better_rates
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK, PAPER
from stagewise.analysis.records.labels import DENSE, RECOVERED, dense_students, pruned_student

POSITION = 5
"""Place in the report."""
CAPTION = (
    "Accuracy against multiply-adds for dense, pruned and recovered networks, mean and 95 % t "
    "interval (n = {n}): up and left is better. A number is the value of a point below the axis, "
    "and “not trained again” what pruning alone leaves. The fair opponent of a recovered network "
    "is the dense one with the same extra KD. Of several rates of a recovery that best on "
    "validation images. {protocol}"
)
MARKS = {"ce": "P", "kd": "*", "kd_throughout": "X", "group_sl": "h"}
"""What the dense network learnt by → its mark."""
FILLS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("hollow: pruned at random", {"mfc": PAPER}),
    "uniform": ("half: all layers thinned alike", {"fillstyle": "left", "mfcalt": PAPER}),
}
"""Criterion that is a control → what its marks are called, and how they are filled."""


def draw(results: Results) -> Figure:
    """Accuracy against MACs for the dense student, pruned and recovered networks."""
    main = results.main
    chained = at_better_rates(main[main["chain"] != ""])
    if chained.empty:
        return drawing.notice("this study prunes no network")
    parts = list(chained.groupby(["pair", "chain"], sort=False))
    figure, grid = drawing.panels([2.1] * len(parts), 0.2)
    for axes, ((pair, chain), part) in zip(grid, parts, strict=True):
        dense = dense_students(results.study.runs, main, part)
        _operating_points(axes, dense, part)
        axes.set_title(f"{pair}, {pruned_student(str(chain))}")
        axes.set_ylabel("test accuracy, %")
        axes.set_xlabel("million multiply-adds an image")
    drawing.legend_below(figure, _handles(chained))
    return figure


def _handles(chained: pd.DataFrame) -> list[Line2D]:
    handles = [
        Line2D([], [], ls="", marker="*", color=INK, markersize=8, label="the network pruned"),
    ]
    dense = chained["criterion"] == "dense"
    for recovery, part in chained[dense].groupby("recovery", sort=False):
        name = f"dense, {DENSE.get(str(recovery), str(recovery))}"
        colour, mark = drawing.arm_look(part.iloc[0])[0], MARKS.get(str(recovery), "*")
        handles.append(Line2D([], [], ls="", marker=mark, color=colour, markersize=8, label=name))
    pruned = chained[~dense]
    for recovery, part in pruned.groupby("recovery", sort=False):
        colour, marker = drawing.arm_look(part.iloc[0])
        name = RECOVERED.get(str(recovery), str(recovery))
        handles.append(Line2D([], [], ls="", marker=marker, color=colour, label=name))
    for criterion, (name, look) in FILLS.items():
        if (chained["criterion"] == criterion).any():
            handles.append(Line2D([], [], ls="", marker="o", color=GREY, label=name, **look))
    return handles


def _operating_points(axes: Axes, dense: pd.DataFrame, part: pd.DataFrame) -> None:
    """One chain's points at their cost; those far below the recovered ones sit on the floor with
    their value."""
    trained = part[~part["recovery"].isin(["none", "bn"])]
    # By the seeds, not the intervals: those of two or three seeds would flatten all else.
    seeds = pd.concat([trained, dense])["test_accuracy"]
    lowest, highest = drawing.floor(seeds), seeds.max()
    floor = lowest - 0.25 * max(highest - lowest, 1.0)
    ticks = {}
    for ratio, shaped in part.groupby("ratio", sort=False):
        arms = [arm for _, arm in shaped.groupby("arm", sort=False)]
        arms = [dense, *arms] if ratio == 1 else arms
        centre = float(shaped["macs"].mean()) / 1e6
        ticks[centre] = f"{centre:.3g}" + ("" if ratio == 1 else f"\n({ratio:g}× fewer)")
        below = []
        for arm in arms:
            _point(axes, arm, floor)
            mean = float(arm["test_accuracy"].mean())
            below += [f"{mean:.0f}"] if mean < floor else []
        if below:
            place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 7}
            axes.annotate(", ".join(dict.fromkeys(below)), (centre, floor), (7, 0), **place)
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = min(ticks), max(ticks)
    axes.set_xlim(low / (high / low) ** 0.12 / 1.05, high * (high / low) ** 0.12 * 1.05)
    axes.set_ylim(floor - 0.08 * (highest - floor), highest + 0.08 * (highest - floor))


def _point(axes: Axes, arm: pd.DataFrame, floor: float) -> None:
    """One arm: mean and 95 % interval."""
    first, x = arm.iloc[0], float(arm["macs"].mean()) / 1e6
    mean, low, high = drawing.mean_interval(arm["test_accuracy"])
    colour, marker = drawing.arm_look(first) if first["chain"] else (INK, "*")
    dense = MARKS.get(first["recovery"], "*")
    marker, size = (dense, 8.5) if first["criterion"] in ("", "dense") else (marker, 5.0)
    _, fill = FILLS.get(first["criterion"], ("", {}))
    axes.plot([x], [max(mean, floor)], marker, color=colour, markersize=size, **fill)
    if mean >= floor:
        axes.plot([x, x], [max(low, floor), high], color=colour, lw=1, alpha=0.45, zorder=1.5)
