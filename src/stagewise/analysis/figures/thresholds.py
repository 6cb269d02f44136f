"""Early exit: accuracy against the multiply-adds that images take on average."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import INK, PAPER
from stagewise.analysis.records.early_exit import POINTS, EarlyExit, early_exits

POSITION = 11
"""Place in the report."""
CAPTION = (
    "Early exit: test accuracy over the mean MACs of an image, which leaves at the first exit "
    "whose largest probability reaches a threshold and has paid for every exit passed. From left "
    "to right the threshold rises from 0 (all leave at the first exit) until all reach the last; "
    "line: mean of {n}, the band spans all seeds. Marks: operating points that validation images "
    "chose, mean of the seeds. Cross: the last exit alone, on every image; star: the single "
    "network taught by KD. Up and left is better. {protocol}"
)
SCORE = "confidence"
MARKS = dict(zip(POINTS, ("o", "s", "D"), strict=True))
MEANING = {
    "as accurate": "as the last exit",
    "half": "half of the MACs",
    "best": "most accurate",
}


def draw(results: Results) -> Figure:
    """A panel per pair: the curve of every student with exits, with its operating points."""
    found = [each for each in early_exits(results.study) if each.score == SCORE]
    if not found:
        return drawing.notice("this study has no early exits with thresholds to choose")
    pairs = list(dict.fromkeys(each.run["pair"] for each in found))
    figure, grid = drawing.panels([2.5] * len(pairs), 0.1)
    looks = {}
    for axes, pair in zip(grid, pairs, strict=True):
        own = [each for each in found if each.run["pair"] == pair]
        for arm, runs in groupby(own, key=lambda each: each.run["arm"]):
            seeds = list(runs)
            colour = drawing.arm_look(pd.Series(seeds[0].run))[0]
            looks[str(seeds[0].run["display"])] = colour
            _curve(axes, seeds, colour)
            _whole(axes, results, arm, colour)
        single = results.main[results.main["arm"] == f"distillation/{pair}.kd"]
        if len(single):
            axes.plot(
                single["macs"].mean() / 1e6,
                single["test_accuracy"].mean(),
                "*",
                color=drawing.look("kd")[0],
            )
        axes.set_title(str(pair))
        axes.set_ylabel("test accuracy, %")
        axes.set_xlabel("million multiply-adds an image, mean")
    handles = [Line2D([], [], color=colour, label=name) for name, colour in looks.items()]
    handles += [
        Line2D([], [], ls="", marker=mark, color=INK, mfc=PAPER, label=MEANING[point])
        for point, mark in MARKS.items()
    ]
    handles += [
        Line2D([], [], ls="", marker="x", color=INK, label="last exit alone"),
        Line2D([], [], ls="", marker="*", color=drawing.look("kd")[0], label="KD, no exits"),
    ]
    drawing.legend_below(figure, handles)
    return figure


def _curve(axes: Axes, seeds: Sequence[EarlyExit], colour: str) -> None:
    """One arm's curve and operating points."""
    macs = np.mean([each.test.macs for each in seeds], axis=0) / 1e6
    accuracy = np.array([each.test.accuracy for each in seeds])
    low, high = accuracy.min(axis=0), accuracy.max(axis=0)
    axes.fill_between(macs, low, high, color=colour, alpha=0.13, lw=0)
    axes.plot(macs, accuracy.mean(axis=0), color=colour, lw=1)
    for point, mark in MARKS.items():
        chosen = [(each.test, each.chosen(point)) for each in seeds]
        places = [(test.macs[k] / 1e6, test.accuracy[k]) for test, k in chosen if k is not None]
        if places:
            axes.plot(*np.mean(places, axis=0), mark, color=colour, mfc=PAPER, markersize=5)


def _whole(axes: Axes, results: Results, arm: str, colour: str) -> None:
    """The last exit on every image, at what its answer alone takes."""
    rows = results.summary[results.summary["arm"] == arm]
    last = rows[rows["exit"] == max((e for e in rows["exit"] if e.isdigit()), key=int)]
    axes.plot(last["macs"].mean() / 1e6, last["test_accuracy"].mean(), "x", color=colour)
