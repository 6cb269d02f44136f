"""Exits and their ensemble against their cost."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import INK, PAPER, WIDTH
from stagewise.analysis.records.logits import ENSEMBLE, FINAL

POSITION = 6
"""Place in the report."""
CAPTION = (
    "Exits against their cost: each point is an exit, from the cheapest to the last, and the "
    "hollow point the ensemble of all exits, which costs them all. Every dot is a seed, the point "
    "their mean, the bar its 95 % t interval (n = {n}). Star: the single network taught by KD. Up "
    "and left is better; points at one cost stand side by side. {protocol}"
)
HOLLOW = "hollow: ensemble"
SINGLE = {
    "distillation/{pair}.kd": ("*", INK, "KD, no exits"),
    "multi_exit/{pair}.kd_wide": ("P", INK, "the same, widened"),
    "multi_exit/{pair}.kd_twice": ("*", PAPER, "two of them"),
}
"""Arm of networks without exits → marker, its face, and what the legend calls it."""
ASIDE = 0.022
"""Distance of neighbours at one cost, in parts of the axis."""


def draw(results: Results) -> Figure:
    """Accuracy of each exit and of the ensemble over MACs, with the network taught by KD."""
    summary = results.summary
    with_exits = summary[(summary["exit"] != FINAL) & (summary["network"] == "student")]
    if with_exits.empty:
        return drawing.notice("this study has no networks with exits")
    panels = list(with_exits.groupby("pair", sort=False))
    names = list(with_exits["display"].unique())
    figure = Figure(figsize=(WIDTH, 2.5 * len(panels) + 0.6))
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (pair, part) in zip(grid, panels, strict=True):
        step = ASIDE * (part["macs"].max() - part["macs"].min()) / 1e6
        for index, name in enumerate(names):
            aside = step * (index - (len(names) - 1) / 2)
            _arm(axes, part[part["display"] == name], index, aside)
        for arm, (marker, face, _) in SINGLE.items():
            single = results.main[results.main["arm"] == arm.format(pair=pair)]
            if len(single):
                x = single["macs"].mean() / 1e6 - step * (len(names) + 1) / 2
                _point(axes, x, single["test_accuracy"], marker, INK, face)
        axes.set_title(f"{pair}")
        axes.set_ylabel("test accuracy, %")
    grid[-1].set_xlabel("million MACs per image")
    handles = []
    for index, name in enumerate(names):
        colour, marker = drawing.look(index)
        handles.append(Line2D([], [], color=colour, marker=marker, label=name))
    handles.append(Line2D([], [], ls="", marker="o", color=INK, mfc=PAPER, label=HOLLOW))
    known = {arm.format(pair=pair): look for arm, look in SINGLE.items() for pair, _ in panels}
    looks = dict.fromkeys(look for arm, look in known.items() if arm in results.arms)
    handles += [
        Line2D([], [], ls="", marker=marker, color=INK, mfc=face, markersize=7, label=label)
        for marker, face, label in looks
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _arm(axes: Axes, arm: pd.DataFrame, index: int, aside: float) -> None:
    """One method's exits, joined, and its ensemble."""
    colour, marker = drawing.look(index)
    single = arm[arm["exit"] != ENSEMBLE].groupby("exit", sort=False)
    means = single[["macs", "test_accuracy"]].mean()
    axes.plot(means["macs"] / 1e6 + aside, means["test_accuracy"], color=colour, lw=0.8)
    for name, part in arm.groupby("exit", sort=False):
        x = part["macs"].mean() / 1e6 + aside
        face = PAPER if name == ENSEMBLE else colour
        _point(axes, x, part["test_accuracy"], marker, colour, face)


def _point(axes: Axes, x: float, seeds: pd.Series, marker: str, colour: str, face: str) -> None:
    """Every seed a dot, the mean, and its interval."""
    mean, low, high = drawing.mean_interval(seeds)
    axes.plot([x] * len(seeds), seeds, "o", color=colour, markersize=2.5, alpha=0.5, mew=0)
    axes.plot([x, x], [low, high], color=colour, lw=1.1)
    size = 8 if marker == "*" else 5
    axes.plot([x], [mean], marker, color=colour, mfc=face, markersize=size)
