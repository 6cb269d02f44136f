"""Gradient shock over steps."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK
from stagewise.analysis.records.shock import (
    BATCH,
    EARLY,
    WINDOW,
    column,
    deepest_similarity,
    shock_runs,
)

POSITION = 4
"""Place in the report."""
CAPTION = (
    "Gradient shock on {classes}, means of {n}; the band spans all seeds. On logarithmic scales, "
    "means are geometric. Steps count from the first at which the backbone may move; two-stage "
    "networks have trained their classifier alone before it (grey, not to scale). From top to "
    "bottom: gradient norm of the backbone, how far each step moves its weights, similarity of its "
    "deepest features to step 0 (linear CKA), and validation accuracy of a linear probe refitted "
    "on them. Batch norm takes the probe's own statistics; dashed: its running ones, which lag "
    "behind weights that move. Left, or alone: each network at its tuned rate; right, where the "
    "study has them: all at one rate. A shock is a peak at the top with a fall at the bottom. "
    "Dotted: steps in between were not logged. Runs that diverged are left out."
)
STAGE_1 = 9
"""Width of the grey band before step 0, steps, where one panel has all the room."""
COLUMNS = 2
"""Panels side by side, at most."""
ROW = 1.15
"""Height of a panel, inches."""
DASHED = (0, (4, 1.6))
"""Line style of what was measured under running statistics."""


@dataclass(frozen=True)
class Quantity:
    """A row of panels: ``name`` of the course that it shows, its ``label``, and its scale."""

    name: str
    label: str
    log: bool = False


QUANTITIES = (
    Quantity("gradient", "gradient\nnorm", log=True),
    Quantity("update", "step of the\nweights", log=True),
    Quantity("similarity", "similarity\n(CKA)"),
    Quantity("probe", "feature\nprobe, %"),
)


@dataclass(frozen=True)
class Panel:
    """A column of panels: runs of a pair, at tuned rates or at a common one."""

    title: str
    runs: pd.DataFrame


def draw(results: Results) -> Figure:
    """Gradient, update, CKA and probe of the backbone around the stage boundary."""
    runs = shock_runs(results.study)
    runs = runs[[not results.study.files(path).diverged for path in runs["path"]]]
    if runs.empty:
        return drawing.notice("this study logs no gradient shock")
    runs = runs.assign(display=shared_names(runs))
    firsts = runs.drop_duplicates("display").set_index("display")
    looks = {str(name): drawing.arm_look(run) for name, run in firsts.iterrows()}
    panels, width = panels_of(runs)
    logs = {str(path): courses(results.study.files(str(path)).shock) for path in runs["path"]}
    shown = [q for q in QUANTITIES if any(len(log[q.name]) for log in logs.values())]
    blocks = [panels[start : start + width] for start in range(0, len(panels), width)]
    figure = Figure(
        figsize=(drawing.width(), ROW * len(shown) * len(blocks) + 0.5 * len(blocks) + 0.4)
    )
    size = (len(shown) * len(blocks), width)
    grid = figure.subplots(*size, squeeze=False, sharex=True, sharey="row")
    band = STAGE_1 * width
    for number, block in enumerate(blocks):
        rows = grid[number * len(shown) : (number + 1) * len(shown)]
        for axes, panel in zip(rows.T, block, strict=False):
            for _, arm in panel.runs.groupby("arm", sort=False):
                look = looks[str(arm["display"].iloc[0])]
                for each, quantity in zip(axes, shown, strict=True):
                    _courses(each, [logs[path] for path in arm["path"]], quantity, look)
            axes[0].set_title(panel.title)
        for axes in rows[:, len(block) :].ravel():
            axes.set_visible(False)
        rows = rows[:, : len(block)]
        for axes, quantity in zip(rows, shown, strict=True):
            _row([*axes], quantity, band)
        for axes in rows[-1]:
            place = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "center"}
            axes.annotate("stage 1", (-band / 2, 0.5), rotation=90, fontsize=7, **place)
    for axes in grid[-1]:
        axes.set_xlabel("step since the backbone moves" if width == 1 else "step")
    handles = [Line2D([], [], color=c, marker=m, label=name) for name, (c, m) in looks.items()]
    if any(len(log["running"]) for log in logs.values()):
        handles.append(Line2D([], [], color=INK, ls=DASHED, lw=0.9, label="running statistics"))
    drawing.legend_below(figure, handles)
    return figure


def shared_names(runs: pd.DataFrame) -> pd.Series:
    """What readers see of each run's arm: an arm at a common rate bears the name of the tuned arm
    that it repeats, where there is one."""
    tuned = dict(zip(runs["arm"], runs["display"], strict=True))
    rates = [f".lr-{rate:g}" for rate in runs["common_rate"]]
    arms = [arm.removesuffix(rate) for arm, rate in zip(runs["arm"], rates, strict=True)]
    own = zip(arms, runs["display"], strict=True)
    return pd.Series([tuned.get(arm, display) for arm, display in own], runs.index)


def panels_of(runs: pd.DataFrame) -> tuple[list[Panel], int]:
    """The panels, in the order of reading, and how many stand side by side."""
    panels = []
    several = runs["common_rate"].notna().any()
    for pair, part in runs.groupby("pair", sort=False):
        tuned = part[part["common_rate"].isna()]
        rates = sorted(part["common_rate"].dropna().unique())
        if len(tuned):
            panels.append(Panel(f"{pair}\ntuned rates" if several else str(pair), tuned))
        if rates:  # of several, the middle one: others are in the table
            rate = rates[len(rates) // 2]
            panels.append(Panel(f"{pair}\nall at {rate:g}", part[part["common_rate"] == rate]))
    return panels, min(COLUMNS, len(panels))


def courses(log: pd.DataFrame) -> dict[str, pd.Series]:
    """What is drawn of a run's log up to the last step shown: name → step → value.

    The courses are those under the probe's statistics; of a log that has but running ones, theirs.
    """
    kind = BATCH if f"g_backbone{BATCH}" in log else ""
    found = {
        "gradient": column(log, f"g_backbone{kind}"),
        "running": column(log, "g_backbone" if kind else ""),
        "update": column(log, "update"),
        "similarity": deepest_similarity(log, kind),
        "probe": column(log, f"probe_accuracy{kind}"),
    }
    return {name: values.loc[:WINDOW] for name, values in found.items()}


def _courses(
    axes: Axes, logs: list[dict[str, pd.Series]], quantity: Quantity, look: tuple[str, str]
) -> None:
    """One arm's quantity: mean and range over seeds."""
    course = _over_seeds([log[quantity.name] for log in logs], quantity.log)
    (colour, marker), mean = look, course["mean"]
    axes.fill_between(course.index, course["min"], course["max"], color=colour, alpha=0.13, lw=0)
    # Solid only where steps were logged: elsewhere the course is a guess.
    axes.plot(mean.index, mean, ":", color=colour, lw=0.7)
    for part in _logged(mean):
        # Of many steps, markers at even distances on paper.
        every = 0.08 if len(part) > 8 else 1
        axes.plot(part.index, part, color=colour, marker=marker, ms=3.2, markevery=every)
    if quantity.name == "gradient":
        for part in _logged(_over_seeds([log["running"] for log in logs], quantity.log)["mean"]):
            axes.plot(part.index, part, ls=DASHED, lw=0.9, color=colour)


def _over_seeds(values: list[pd.Series], log: bool) -> pd.DataFrame:
    """Step → mean (geometric where ``log``), min and max over seeds."""
    known = pd.concat(values)
    known = np.log(known[known > 0]) if log else known
    course: pd.DataFrame = known.groupby(level=0).agg(["mean", "min", "max"])
    return course.apply(np.exp) if log else course


def _logged(mean: pd.Series) -> list[pd.Series]:
    """The stretches in which steps were logged one after the other, or nearly."""
    gap = mean.index.to_series().diff().gt(EARLY).cumsum()
    return [part for _, part in mean.groupby(gap)]


def _row(row: list[Axes], quantity: Quantity, band: float) -> None:
    """Boundary of each panel of a row; the scale, which they share, and its label."""
    for axes in row:
        axes.axvspan(-band, 0, color=GREY, alpha=0.2, lw=0)
        axes.axvline(0, color=INK, lw=0.9, zorder=1)
        axes.set_xlim(-band, WINDOW)
    row[0].set_ylabel(quantity.label)
    if quantity.log:
        row[0].set_yscale("log")
        low, high = row[0].get_ylim()
        subs = (1, 2, 5) if high < 30 * low else (1,)
        row[0].yaxis.set_major_locator(LogLocator(subs=subs))
        row[0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        row[0].yaxis.set_minor_formatter(NullFormatter())
