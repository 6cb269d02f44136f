"""Exits and their ensemble."""

import numpy as np
from matplotlib.figure import Figure

from stagewise.analysis import drawing
from stagewise.analysis.drawing import COLOURS, INK, MARKERS, WIDTH
from stagewise.analysis.records import ENSEMBLE, FINAL
from stagewise.analysis.results import Results

POSITION = 6
"""Place in the report."""
CAPTION = (
    "Exits from shallow to deep and their ensemble: every seed a dot, mean and 95 % t interval."
)


def draw(results: Results) -> Figure:
    """Accuracy of each exit and of the ensemble, with the single network taught by KD."""
    summary = results.summary
    with_exits = summary[(summary["exit"] != FINAL) & (summary["network"] == "student")]
    if with_exits.empty:
        return drawing.notice("this study has no networks with exits")
    panels = list(with_exits.groupby("pair", sort=False))
    figure = Figure(figsize=(WIDTH, 2.6 * len(panels) + 0.5))
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (pair, part) in zip(grid, panels, strict=True):
        order = list(part["exit"].unique())
        for index, (_, arm) in enumerate(part.groupby("arm", sort=False)):
            x = np.arange(len(order)) + 0.16 * (index - 1)
            seeds = [arm.loc[arm["exit"] == name, "test_accuracy"] for name in order]
            marks = [drawing.mean_interval(values) for values in seeds]
            colour = COLOURS[index % 6]
            for position, values, (_, low, high) in zip(x, seeds, marks, strict=True):
                dots = np.full(len(values), position)
                axes.plot(dots, values, "o", color=colour, markersize=2.5, alpha=0.5, mew=0)
                axes.plot([position] * 2, [low, high], color=colour, lw=1.1)
            means = [mean for mean, *_ in marks]
            numbered = -1 if ENSEMBLE in order else len(order)
            axes.plot(x[:numbered], means[:numbered], color=colour, lw=0.8)
            axes.plot(
                x,
                means,
                MARKERS[index % 8],
                color=colour,
                label=arm["display"].iloc[0],
                markersize=5,
            )
        single = summary.loc[summary["arm"] == f"distillation/{pair}.kd", "test_accuracy"]
        if len(single):
            axes.axhline(single.mean(), color=INK, ls="--", lw=1, label="single network with KD")
        axes.set_xticks(range(len(order)), [n if n == ENSEMBLE else f"exit {n}" for n in order])
        axes.set_title(f"{pair}")
        axes.set_ylabel("test accuracy, %")
    drawing.legend_below(figure, grid[0], 2)
    return figure
