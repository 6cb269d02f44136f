"""Learning curves on validation."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.records.labels import COMPRESSION, TASKS

POSITION = 3
"""Place in the report."""
CAPTION = (
    "Learning curves: validation accuracy over epochs, mean of {n}; the band spans all seeds. "
    "Accuracies stand closer the lower they are (the scale is logarithmic in the error), so that "
    "late differences stay visible. Dotted: end of stage 1. Test images are not used here."
)
NEVER_WRONG = 0.2
"""Error, percent, that stands for none at all on a logarithmic scale."""


def draw(results: Results) -> Figure:
    """Validation accuracy over epochs: mean over seeds, band from the least to the largest."""
    runs = results.study.runs
    students = runs[runs["network"].eq("student") & ~runs["step"].isin([*COMPRESSION])]
    students = students[(students["step"] != "pretraining") & students["common_rate"].isna()]
    if students.empty:
        return drawing.notice("this study trains no students")
    if not results.study.holds_out:
        return drawing.notice("this study holds out no validation images")
    parts = list(students.groupby(["task", "pair"], sort=False))
    figure, grid = drawing.panels([1.75] * len(parts), 0.1)
    looks: dict[tuple[str, str], str] = {}
    for axes, ((task, pair), part) in zip(grid, parts, strict=True):
        for _, arm in part.groupby("arm", sort=False):
            look = drawing.arm_look(arm.iloc[0])
            name = str(arm["display"].iloc[0])
            names = looks.setdefault(look, name)
            if name not in names.split(" / "):
                looks[look] = f"{names} / {name}"
            _curve(results, axes, arm["path"].tolist(), look)
        _error_scale(axes)
        axes.set_title(f"{pair}, {TASKS[str(task)]}")
        axes.set_ylabel("validation, %")
        axes.set_xlabel("epoch")
    drawing.legend_below(
        figure,
        [Line2D([], [], color=c, marker=m, label=name) for (c, m), name in looks.items()],
    )
    return figure


def _curve(results: Results, axes: Axes, paths: Sequence[str], look: tuple[str, str]) -> None:
    """One arm's validation curve, drawn as errors."""
    parts = [results.study.files(path).history for path in paths]
    table = pd.concat(parts)[["epoch", "validation_accuracy"]].dropna()
    error = (100 - table["validation_accuracy"]).clip(lower=NEVER_WRONG)
    stats = error.groupby(table["epoch"]).agg(["mean", "min", "max"])
    colour, marker = look
    axes.fill_between(stats.index, stats["min"], stats["max"], color=colour, alpha=0.13, lw=0)
    few = max(1, len(stats) // 8)
    axes.plot(stats.index, stats["mean"], color=colour, marker=marker, markevery=few)
    phase = parts[0]["phase"] if "phase" in parts[0] else pd.Series(dtype=str)
    for boundary in parts[0].loc[phase.ne(phase.shift(-1)), "epoch"].iloc[:-1]:
        axes.axvline(boundary, color=colour, ls=":", lw=1)


def _error_scale(axes: Axes) -> None:
    """Logarithmic in the error, labelled with accuracies, the best on top."""
    axes.set_yscale("log")
    axes.invert_yaxis()
    low, high = sorted(axes.get_ylim())
    subs = (1, 2, 5) if high > 8 * low else (1, 1.5, 2, 3, 4, 5, 7)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(lambda error, _: f"{100 - error:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
