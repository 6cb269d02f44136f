"""Exits and their ensemble against their cost."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import INK, PAPER
from stagewise.analysis.records.logits import ENSEMBLE, FINAL

POSITION = 6
"""Place in the report."""
CAPTION = (
    "Exits against their cost: each point is an exit, from the cheapest to the last, and the "
    "hollow point the ensemble of all exits, which costs them all. Every dot is a seed, the point "
    "their mean, the bar its 95 % t interval (n = {n}). Star: the single network taught by KD. Up "
    "and left is better. {protocol}"
)
HOLLOW = "hollow: ensemble"
SINGLE = {
    "distillation/{pair}.kd": ("*", INK, "KD, no exits"),
    "multi_exit/{pair}.kd_wide": ("P", INK, "the same, widened"),
    "multi_exit/{pair}.kd_twice": ("*", PAPER, "two of them"),
}
"""Arm of networks without exits → marker, its face, and what the legend calls it."""


def draw(results: Results) -> Figure:
    """Accuracy of each exit and of the ensemble over MACs, with the network taught by KD."""
    summary = results.summary
    with_exits = summary[(summary["exit"] != FINAL) & (summary["network"] == "student")]
    if with_exits.empty:
        return drawing.notice("this study has no networks with exits")
    parts = list(with_exits.groupby("pair", sort=False))
    figure, grid = drawing.panels([2.5] * len(parts), 0.1)
    for axes, (pair, part) in zip(grid, parts, strict=True):
        for _, rows in part.groupby("arm", sort=False):
            _arm(axes, rows)
        for arm, (marker, face, _) in SINGLE.items():
            single = results.main[results.main["arm"] == arm.format(pair=pair)]
            if len(single):
                x = single["macs"].mean() / 1e6
                colour = drawing.arm_look(single.iloc[0])[0]
                face = colour if face == INK else face
                _point(axes, x, single["test_accuracy"], marker, colour, face)
        axes.set_title(f"{pair}")
        axes.set_ylabel("test accuracy, %")
        axes.set_xlabel("million multiply-adds an image")
    drawing.legend_below(figure, _handles(results, with_exits))
    return figure


def _handles(results: Results, with_exits: pd.DataFrame) -> list[Line2D]:
    handles = []
    for name, part in with_exits.groupby("display", sort=False):
        colour, marker = drawing.arm_look(part.iloc[0])
        handles.append(Line2D([], [], color=colour, marker=marker, label=str(name)))
    handles.append(Line2D([], [], ls="", marker="o", color=INK, mfc=PAPER, label=HOLLOW))
    pairs = with_exits["pair"].unique()
    known = {arm.format(pair=pair): look for arm, look in SINGLE.items() for pair in pairs}
    looks = dict.fromkeys(look for arm, look in known.items() if arm in results.arms)
    colour = drawing.look("kd")[0]
    handles += [
        Line2D(
            *([], []),
            ls="",
            marker=marker,
            color=colour,
            mfc=colour if face == INK else face,
            markersize=7,
            label=label,
        )
        for marker, face, label in looks
    ]
    return handles


def _arm(axes: Axes, arm: pd.DataFrame) -> None:
    """One method's exits, joined, and its ensemble."""
    colour, marker = drawing.arm_look(arm.iloc[0])
    single = arm[arm["exit"] != ENSEMBLE].groupby("exit", sort=False)
    means = single[["macs", "test_accuracy"]].mean()
    axes.plot(means["macs"] / 1e6, means["test_accuracy"], color=colour, lw=0.8)
    for name, part in arm.groupby("exit", sort=False):
        face = PAPER if name == ENSEMBLE else colour
        _point(axes, part["macs"].mean() / 1e6, part["test_accuracy"], marker, colour, face)


def _point(axes: Axes, x: float, seeds: pd.Series, marker: str, colour: str, face: str) -> None:
    """Every seed a dot, the mean, and its interval."""
    mean, low, high = drawing.mean_interval(seeds)
    axes.plot([x] * len(seeds), seeds, "o", color=colour, markersize=2.5, alpha=0.5, mew=0)
    axes.plot([x, x], [low, high], color=colour, lw=1.1)
    size = 8 if marker == "*" else 5
    axes.plot([x], [mean], marker, color=colour, mfc=face, markersize=size)
