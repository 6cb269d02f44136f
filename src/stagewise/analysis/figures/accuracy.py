"""Accuracy by arm, every seed a dot."""

from matplotlib.figure import Figure

from stagewise.analysis import drawing
from stagewise.analysis.drawing import COLOURS, GREY, WIDTH
from stagewise.analysis.results import COMPRESSION, TASKS, Results, display
from stagewise.analysis.summary import main_exits

POSITION = 1
"""Place in the report."""
CAPTION = (
    "Test accuracy by arm. Every dot is a seed, the diamond their mean, the bar its 95 % "
    "t interval. The ensemble stands for networks with exits; grey: teachers."
)


def draw(results: Results) -> Figure:
    """Accuracy by arm: every seed a dot, the mean with its interval."""
    main = main_exits(results.summary)
    main = main[~main["step"].isin([*COMPRESSION, "pretraining"])]
    panels = [
        (str(pair), str(task), list(part.groupby("arm", sort=False)))
        for (pair, task), part in main.groupby(["pair", "task"], sort=False)
    ]
    heights = [len(arms) + 1.6 for *_, arms in panels]
    figure = Figure(figsize=(WIDTH, 0.225 * sum(heights) + 0.2))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (pair, task, arms) in zip(grid, panels, strict=True):
        for y, (_, part) in enumerate(arms):
            teacher = part["step"].iloc[0] == "teachers"
            drawing.row_of_seeds(axes, y, part["test_accuracy"], GREY if teacher else COLOURS[0])
        axes.set_yticks(range(len(arms)), [display(part.iloc[0]) for _, part in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_title(f"{pair}, {TASKS[task]}")
        axes.grid(axis="y", visible=False)
    grid[-1].set_xlabel("test accuracy, %")
    return figure
