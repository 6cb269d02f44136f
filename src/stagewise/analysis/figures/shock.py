"""Gradient shock over steps."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK, WIDTH
from stagewise.analysis.records.shock import EARLY, WINDOW, deepest_similarity, shock_runs

POSITION = 4
"""Place in the report."""
CAPTION = (
    "Gradient shock on {classes}, means of {n}; the band spans all seeds. Step 0 is the "
    "first step at which the backbone is trainable; two-stage arms have trained their classifier "
    "alone before it (grey, not to scale). From top to bottom: gradient norm of the backbone, its "
    "relative displacement, similarity of its deepest features to step 0 (linear CKA), and "
    "validation accuracy of a linear probe refitted on the features. A shock is a peak at the "
    "top with a fall at the bottom. Dotted: steps in between were not logged."
)
ROWS = {
    "g_backbone": "gradient\nnorm",
    "displacement": "displace-\nment",
    "similarity": "similarity\n(CKA)",
    "probe_accuracy": "feature\nprobe, %",
}
STAGE_1 = 9
"""Width of the grey band before step 0, steps, where one pair has all the room."""


def draw(results: Results) -> Figure:
    """Gradient, displacement, CKA and probe of the backbone around the stage boundary."""
    runs = shock_runs(results.study)
    if runs.empty:
        return drawing.notice("this study logs no gradient shock")
    pairs, names = list(runs["pair"].unique()), list(runs["display"].unique())
    band = STAGE_1 * len(pairs)
    figure = Figure(figsize=(WIDTH, 5.6))
    grid = figure.subplots(len(ROWS), len(pairs), squeeze=False, sharex=True, sharey="row")
    for column, pair in enumerate(pairs):
        for _, arm in runs[runs["pair"] == pair].groupby("arm", sort=False):
            index = names.index(arm["display"].iloc[0])
            logs = pd.concat([_log(results, path) for path in arm["path"]])
            for axes, quantity in zip(grid[:, column], ROWS, strict=True):
                _course(axes, logs, quantity, index)
        for axes in grid[:, column]:
            axes.axvspan(-band, 0, color=GREY, alpha=0.2, lw=0)
            axes.axvline(0, color=INK, lw=0.9, zorder=1)
            axes.set_xlim(-band, WINDOW)
        grid[0, column].set_title(pair)
        grid[-1, column].set_xlabel("step since the backbone trains" if len(pairs) == 1 else "step")
    place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "center"}
    for axes in grid[-1]:
        axes.annotate("stage 1", (-band / 2, 0.5), rotation=90, fontsize=7, **place)
    for axes, label in zip(grid[:, 0], ROWS.values(), strict=True):
        axes.set_ylabel(label)
    grid[0, 0].set_yscale("log")
    for axes in grid[0]:
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    handles = []
    for index, name in enumerate(names):
        colour, marker = drawing.look(index)
        handles.append(Line2D([], [], color=colour, marker=marker, label=name))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    return figure


def _log(results: Results, path: str) -> pd.DataFrame:
    """A run's log up to the last step shown, with the CKA of its deepest stage."""
    log = results.study.files(path).shock
    return log.assign(similarity=deepest_similarity(log))[log["step"] <= WINDOW]


def _course(axes: Axes, logs: pd.DataFrame, quantity: str, index: int) -> None:
    """One arm's quantity: mean and range over seeds."""
    known = logs[["step", quantity]].dropna()
    course = known.groupby("step")[quantity].agg(["mean", "min", "max"])
    (colour, marker), mean = drawing.look(index), course["mean"]
    axes.fill_between(course.index, course["min"], course["max"], color=colour, alpha=0.13, lw=0)
    # Solid only where steps were logged: elsewhere the course is a guess.
    axes.plot(mean.index, mean, ":", color=colour, lw=0.7)
    gap = mean.index.to_series().diff().gt(EARLY).cumsum()
    for _, part in mean.groupby(gap):
        few = max(1, len(part) // 6)
        axes.plot(part.index, part, color=colour, marker=marker, markevery=few)
