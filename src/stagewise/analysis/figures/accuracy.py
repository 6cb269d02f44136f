"""Accuracy by arm, every seed a dot."""

import textwrap

from matplotlib.figure import Figure

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import COLOURS, GREY, INK, WIDTH
from stagewise.analysis.records.labels import BASELINES, COMPRESSION, TASKS, display

POSITION = 2
"""Place in the report."""
CAPTION = (
    "Test accuracy by arm: further right is better. Every dot is a seed, the diamond their mean, "
    "the bar its 95 % t interval (n = {n}; one teacher per pair, grey). Dashed: the baseline's "
    "mean. The ensemble stands for networks with exits. {protocol}"
)
LINE = 20
"""Characters of a name before it takes a second line."""


def draw(results: Results) -> Figure:
    """Accuracy by arm: every seed a dot, the mean with its interval."""
    main = results.main
    main = main[~main["step"].isin([*COMPRESSION, "pretraining"])]
    panels = [
        (str(pair), str(task), list(part.groupby("arm", sort=False)))
        for (pair, task), part in main.groupby(["pair", "task"], sort=False)
    ]
    heights = [len(arms) + 1.2 for *_, arms in panels]
    figure = Figure(figsize=(WIDTH, 0.25 * sum(heights) + 0.3))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (pair, task, arms) in zip(grid, panels, strict=True):
        for y, (arm, part) in enumerate(arms):
            teacher = part["step"].iloc[0] == "teachers"
            drawing.row_of_seeds(axes, y, part["test_accuracy"], GREY if teacher else COLOURS[0])
            if arm == BASELINES.get(task, "").format(pair=pair):
                mean = part["test_accuracy"].mean()
                axes.axvline(mean, color=INK, ls=(0, (4, 3)), lw=0.7, zorder=0.5)
        names = [textwrap.fill(display(part.iloc[0]), LINE) for _, part in arms]
        axes.set_yticks(range(len(arms)), names, linespacing=0.95)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_title(f"{pair}, {TASKS[task]}")
        axes.grid(axis="y", visible=False)
    grid[-1].set_xlabel("test accuracy, %")
    return figure
