"""Learning curves on validation."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis import drawing
from stagewise.analysis.drawing import COLOURS, MARKERS, WIDTH
from stagewise.analysis.records import read_table
from stagewise.analysis.results import COMPRESSION, TASKS, Results

POSITION = 3
"""Place in the report."""
CAPTION = "Validation accuracy over epochs: mean over seeds; the band spans all seeds."


def draw(results: Results) -> Figure:
    """Validation accuracy over epochs: mean over seeds, band from the least to the largest."""
    runs = results.study.runs
    students = runs[runs["network"].eq("student") & ~runs["step"].isin([*COMPRESSION])]
    students = students[students["step"] != "pretraining"]
    if students.empty:
        return drawing.notice("this study trains no students")
    tasks = list(students["task"].unique())
    figure = Figure(figsize=(WIDTH, 2.5 * len(tasks)))
    rows = figure.subfigures(len(tasks), 1, squeeze=False)[:, 0]
    for part_figure, task in zip(rows, tasks, strict=True):
        pairs = list(students.loc[students["task"] == task, "pair"].unique())
        grid = part_figure.subplots(1, len(pairs), squeeze=False, sharey=True)[0]
        names = list(students.loc[students["task"] == task, "display"].unique())
        for axes, pair in zip(grid, pairs, strict=True):
            chosen = students[(students["task"] == task) & (students["pair"] == pair)]
            for _, arm in chosen.groupby("arm", sort=False):
                index = names.index(arm["display"].iloc[0])
                _curve(results, axes, arm["path"].tolist(), index)
            axes.set_title(f"{pair}, {TASKS[task]}")
            axes.set_xlabel("epoch")
        grid[0].set_ylabel("validation accuracy, %")
        handles = [
            Line2D([], [], color=COLOURS[i % 6], marker=MARKERS[i % 8], label=name)
            for i, name in enumerate(names)
        ]
        part_figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def _curve(results: Results, axes: Axes, paths: Sequence[str], index: int) -> None:
    """One arm's validation curve."""
    columns = ("epoch", "validation_accuracy")
    parts = [read_table(results.study.folder(path) / "history.csv", columns) for path in paths]
    table = pd.concat(parts)[list(columns)].dropna()
    stats = table.groupby("epoch")["validation_accuracy"].agg(["mean", "min", "max"])
    colour, marker = COLOURS[index % 6], MARKERS[index % 8]
    axes.fill_between(stats.index, stats["min"], stats["max"], color=colour, alpha=0.15, lw=0)
    few = max(1, len(stats) // 8)
    axes.plot(stats.index, stats["mean"], color=colour, marker=marker, markevery=few)
