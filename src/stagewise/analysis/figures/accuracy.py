"""Accuracy by arm, every seed a dot."""

import textwrap

import pandas as pd
from matplotlib.figure import Figure

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import INK
from stagewise.analysis.records.labels import BASELINES, COMPRESSION, TASKS, display

POSITION = 2
"""Place in the report."""
CAPTION = (
    "Test accuracy of every network that was not pruned: further right is better. Every dot is a "
    "seed, the larger mark their mean, the bar its 95 % t interval (n = {n}). Dashed: the mean of "
    "the network that the others are compared with. An arrow: the network lies left of the axis. "
    "The ensemble stands for networks with exits. {protocol}"
)
LINE = 22
"""Characters of a name before it takes a second line."""


def draw(results: Results) -> Figure:
    """Accuracy by arm: every seed a dot, the mean with its interval."""
    main = results.main
    shown = ~main["step"].isin([*COMPRESSION, "pretraining"]) & main["common_rate"].isna()
    main = main[shown]
    panels = [
        (str(pair), str(task), list(part.groupby("arm", sort=False)))
        for (pair, task), part in main.groupby(["pair", "task"], sort=False)
    ]
    heights = [
        0.25 * (len(arms) + sum(_lines(part) for _, part in arms) / 3 + 1.6) for *_, arms in panels
    ]
    figure, grid = drawing.panels(heights, 0.1)
    for axes, (pair, task, arms) in zip(grid, panels, strict=True):
        seeds = main.loc[(main["pair"] == pair) & (main["task"] == task)]
        means = seeds.groupby("arm")["test_accuracy"].mean()
        lowest = drawing.floor(means)
        shown = seeds.loc[seeds["arm"].isin(means.index[means >= lowest]), "test_accuracy"]
        air = 0.04 * max(shown.max() - shown.min(), 1.0)
        axes.set_xlim(shown.min() - air, shown.max() + air)
        for y, (arm, part) in enumerate(arms):
            drawing.row_of_seeds(axes, y, part["test_accuracy"], drawing.arm_look(part.iloc[0]))
            if arm == BASELINES.get(task, "").format(pair=pair):
                mean = part["test_accuracy"].mean()
                axes.axvline(mean, color=INK, ls=(0, (4, 3)), lw=0.7, zorder=0.5)
        names = [textwrap.fill(display(part.iloc[0]), LINE) for _, part in arms]
        axes.set_yticks(range(len(arms)), names, linespacing=0.95)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_title(f"{pair}, {TASKS[task]}")
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("test accuracy, %")
    return figure


def _lines(arm: pd.DataFrame) -> int:
    """Lines of an arm's name beyond the first."""
    return len(textwrap.wrap(display(arm.iloc[0]), LINE)) - 1
