"""Learning curves on validation."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
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
    "late differences stay visible. Dotted: end of stage 1. Where networks are many, a panel names "
    "some of them, most accurate first; the grey lines are the others. Test images are not used "
    "here."
)
MOST = 10
"""Arms of a panel whose lines can be told apart."""
APART = 0.1
"""Of lines of names at curves' ends, as a share of a panel's height."""
FEW = 6
"""Names that have room for two lines."""
NEVER_WRONG = 0.2
"""Error, percent, that stands for none at all on a logarithmic scale."""
LEADER: dict[str, Any] = {"arrowstyle": "-", "lw": 0.5, "shrinkA": 1, "relpos": (0, 0.5)}
"""The line from a curve's end to its name."""


class _Arm(NamedTuple):
    """``curve``: error in percent by epoch, over the seeds; ``ends``: epochs that end a phase."""

    name: str
    look: tuple[str, str]
    curve: pd.DataFrame
    ends: list[int]


def draw(results: Results) -> Figure:
    """Validation accuracy over epochs: mean over seeds, band from the least to the largest."""
    runs = results.study.runs
    students = runs[runs["network"].eq("student") & ~runs["step"].isin([*COMPRESSION])]
    students = students[(students["step"] != "pretraining") & students["common_rate"].isna()]
    if students.empty:
        return drawing.notice("this study trains no students")
    if not results.study.holds_out:
        return drawing.notice("this study holds out no validation images")
    shown = list(_panels(results, students))
    figure, grid = drawing.panels([1.75] * len(shown), 0.1)
    looks: dict[tuple[str, str], str] = {}
    for axes, (title, arms, others) in zip(grid, shown, strict=True):
        for arm in others:
            axes.plot(arm.curve.index, arm.curve["mean"], color=drawing.GREY, alpha=0.25, lw=0.7)
        for arm in arms:
            _curve(axes, arm)
        _error_scale(axes)
        if others:
            _names(axes, arms)
        for arm in arms if not others else ():
            names = looks.setdefault(arm.look, arm.name)
            if arm.name not in names.split(" / "):
                looks[arm.look] = f"{names} / {arm.name}"
        axes.set_title(title)
        axes.set_ylabel("validation, %")
        axes.set_xlabel("epoch")
    drawing.legend_below(
        figure,
        [Line2D([], [], color=c, marker=m, label=name) for (c, m), name in looks.items()],
    )
    return figure


def _panels(
    results: Results, students: pd.DataFrame
) -> Iterator[tuple[str, list[_Arm], list[_Arm]]]:
    """Title, arms, and the others of the same task and pair, of each panel."""
    for (task, pair), part in students.groupby(["task", "pair"], sort=False):
        title = f"{pair}, {TASKS[str(task)]}"
        arms = [_arm(results, rows) for _, rows in part.groupby("arm", sort=False)]
        if len(arms) <= MOST:
            yield title, arms, []
            continue
        arms.sort(key=lambda arm: float(arm.curve["mean"].iloc[-1]))
        groups = np.array_split(np.arange(len(arms)), -(-len(arms) // MOST))
        for group in groups:
            own = [arms[place] for place in group]
            yield title, own, [arm for place, arm in enumerate(arms) if place not in group]


def _arm(results: Results, runs: pd.DataFrame) -> _Arm:
    """One arm's validation curve, as errors."""
    parts = [results.study.files(path).history for path in runs["path"]]
    table = pd.concat(parts)[["epoch", "validation_accuracy"]].dropna()
    error = (100 - table["validation_accuracy"]).clip(lower=NEVER_WRONG)
    curve = error.groupby(table["epoch"]).agg(["mean", "min", "max"])
    phase = parts[0]["phase"] if "phase" in parts[0] else pd.Series(dtype=str)
    ends = parts[0].loc[phase.ne(phase.shift(-1)), "epoch"].iloc[:-1].tolist()
    return _Arm(str(runs["display"].iloc[0]), drawing.arm_look(runs.iloc[0]), curve, ends)


def _curve(axes: Axes, arm: _Arm) -> None:
    (colour, marker), curve = arm.look, arm.curve
    axes.fill_between(curve.index, curve["min"], curve["max"], color=colour, alpha=0.13, lw=0)
    few = max(1, len(curve) // 8)
    axes.plot(curve.index, curve["mean"], color=colour, marker=marker, markevery=few)
    for boundary in arm.ends:
        axes.axvline(boundary, color=colour, ls=":", lw=1)


def _names(axes: Axes, arms: Sequence[_Arm]) -> None:
    """At the ends of the lines, on the right."""
    ends = np.array([(arm.curve.index[-1], arm.curve["mean"].iloc[-1]) for arm in arms])
    places = (axes.transScale + axes.transLimits).transform(ends)
    lines = 2 if len(arms) <= FEW else 1
    heights = drawing.spread_out(places[:, 1].tolist(), lines * APART)
    for arm, at, height in zip(arms, places, heights, strict=True):
        colour = arm.look[0]
        axes.annotate(
            drawing.method_name(arm.name, lines),
            at,
            (1.03, height),
            "axes fraction",
            "axes fraction",
            color=colour,
            fontsize=6.5,
            va="center",
            arrowprops={**LEADER, "color": colour},
            annotation_clip=False,
        )


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
