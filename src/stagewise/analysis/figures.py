"""The figures of a study, each a function from its results; ``FIGURES`` names them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from stagewise.analysis import drawing
from stagewise.analysis.claims import HEADLINE, judge_claims
from stagewise.analysis.drawing import COLOURS, GREY, INK, MARKERS, WIDTH
from stagewise.analysis.operating_points import compression
from stagewise.analysis.records import ENSEMBLE, FINAL, read_table
from stagewise.analysis.results import COMPRESSION, TASKS, Results, display
from stagewise.analysis.shock import EARLY, WINDOW, read_shock, shock_runs
from stagewise.analysis.summary import main_exits
from stagewise.analysis.words import number


@dataclass(frozen=True)
class Drawn:
    """A figure's function and the caption that goes with it."""

    draw: Callable[[Results], Figure]
    caption: str


def accuracy(results: Results) -> Figure:
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


def differences(results: Results) -> Figure:
    """Every contrast of the claims in points, by pair, with its 95 % interval."""
    claims = judge_claims(results.study, results.summary)
    claims = claims[(claims["pair"] != "") & (claims["unit"] == "points")]
    claims = claims[(claims["control"] != "") & ~claims["claim"].isin(["A1", "A2"])]
    if claims.empty:
        return drawing.notice("this study has none of the contrasts")
    pairs = list(results.study.config["pairs"])
    groups = list(claims.groupby(["claim", "contrast"], sort=False))
    bounds = claims[["mean", "low", "high"]].abs().to_numpy()
    # A quantile: one interval, or the damage of pruning, can be wider than all others together.
    limit = 1.4 * max(float(np.nanquantile(bounds, 0.9)), 2.0)
    figure = Figure(figsize=(WIDTH, 0.37 * len(groups) + 0.9))
    axes = figure.subplots()
    for y, ((claim, contrast), rows) in enumerate(groups):
        main = rows["role"].iloc[0] == HEADLINE
        # Labels stand above their rows, so that the interval has the whole width.
        axes.annotate(
            f"{claim}  {contrast}",
            (0.01, y - 0.36),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=7,
            fontweight="bold" if main else "normal",
            bbox={"facecolor": "#fefefe", "edgecolor": "none", "pad": 0.8},
        )
        for offset, (_, row) in enumerate(rows.iterrows()):
            index = pairs.index(row["pair"])
            level = y - 0.04 + 0.26 * offset
            _interval_row(axes, row, level, index, main, limit)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(len(groups) - 0.4, -0.7)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("difference in test accuracy, points")
    handles = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], label=pair)
        for i, pair in enumerate(pairs)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _interval_row(
    axes: Axes, row: pd.Series, level: float, index: int, filled: bool, limit: float
) -> None:
    """One contrast in one pair; far outside the headline's range it is an arrow with its value."""
    colour = COLOURS[index]
    if abs(row["mean"]) > limit:
        side = np.sign(row["mean"])
        axes.plot([side * limit * 0.97], [level], "<" if side < 0 else ">", color=colour)
        axes.annotate(
            number(row["mean"], 0),
            (side * limit * 0.94, level),
            ha="left" if side < 0 else "right",
            va="center",
            fontsize=6.5,
        )
        return
    if np.isfinite(row["low"]):
        axes.plot([row["low"], row["high"]], [level, level], color=colour)
    face = colour if filled else "#fefefe"
    axes.plot([row["mean"]], [level], MARKERS[index], color=colour, mfc=face, markersize=5)


def learning(results: Results) -> Figure:
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


def shock(results: Results) -> Figure:
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


def exits(results: Results) -> Figure:
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


FIGURES: dict[str, Drawn] = {
    "accuracy": Drawn(
        accuracy,
        "Test accuracy by arm. Every dot is a seed, the diamond their mean, the bar its 95 % "
        "t interval. The ensemble stands for networks with exits; grey: teachers.",
    ),
    "differences": Drawn(
        differences,
        "Paired differences over seeds with 95 % t intervals, by claim. Bold and filled: the "
        "contrasts that decide a claim; hollow: those shown beside them.",
    ),
    "learning": Drawn(
        learning,
        "Validation accuracy over epochs: mean over seeds; the band spans all seeds.",
    ),
    "shock": Drawn(
        shock,
        "Gradient shock on the target classes, means over seeds. Step 0 is the first step at which "
        "the backbone is trainable. Dotted: steps in between were not logged.",
    ),
    "compression": Drawn(
        compression,
        "Accuracy against MACs, mean and 95 % t interval. Networks of one shape are drawn side by "
        "side; a number is the value of a point below the axis.",
    ),
    "exits": Drawn(
        exits,
        "Exits from shallow to deep and their ensemble: every seed a dot, mean and 95 % "
        "t interval.",
    ),
}


def write_figures(results: Results, folder: Path, names: Sequence[str], dpi: int = 150) -> None:
    """Write NAME.svg and NAME.png (at ``dpi`` dots per inch) for each name."""
    with drawing.style():
        for name in names:
            drawing.save(FIGURES[name].draw(results), folder, name, dpi)
