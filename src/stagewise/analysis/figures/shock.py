"""Gradient shock over steps."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from stagewise.analysis import drawing
from stagewise.analysis.drawing import COLOURS, WIDTH
from stagewise.analysis.results import Results
from stagewise.analysis.shock import EARLY, WINDOW, read_shock, shock_runs

POSITION = 4
"""Place in the report."""
CAPTION = (
    "Gradient shock on the target classes, means over seeds. Step 0 is the first step at which "
    "the backbone is trainable. Dotted: steps in between were not logged."
)


def draw(results: Results) -> Figure:
    """Backbone gradient, displacement and feature probe after the backbone becomes trainable."""
    runs = shock_runs(results.study)
    if runs.empty:
        return drawing.notice("this study logs no gradient shock")
    rows = {
        "g_backbone": "gradient norm",
        "displacement": "displacement",
        "probe_accuracy": "feature probe, %",
    }
    pairs, names = list(runs["pair"].unique()), list(runs["display"].unique())
    figure = Figure(figsize=(WIDTH, 5.2))
    grid = figure.subplots(len(rows), len(pairs), squeeze=False, sharex=True, sharey="row")
    for column, pair in enumerate(pairs):
        for _, arm in runs[runs["pair"] == pair].groupby("arm", sort=False):
            index = names.index(arm["display"].iloc[0])
            logs = pd.concat([read_shock(results.study, path) for path in arm["path"]])
            for axes, quantity in zip(grid[:, column], rows, strict=True):
                known = logs[["step", quantity]].dropna()
                mean = known[known["step"] <= WINDOW].groupby("step")[quantity].mean()
                # Solid only where steps were logged: elsewhere the course is a guess.
                axes.plot(mean.index, mean, ":", color=COLOURS[index], lw=0.7)
                gap = mean.index.to_series().diff().gt(EARLY).cumsum()
                for _, part in mean.groupby(gap):
                    axes.plot(part.index, part, color=COLOURS[index], marker=".", markersize=3)
        grid[0, column].set_title(pair)
        grid[-1, column].set_xlabel("step")
    for axes, label in zip(grid[:, 0], rows.values(), strict=True):
        axes.set_ylabel(label)
    grid[0, 0].set_yscale("log")
    for axes in grid[0]:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    handles = [Line2D([], [], color=COLOURS[i], label=name) for i, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
