"""Early exit: accuracy against the multiply-adds, and the time, that images take on average."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import INK, PAPER
from stagewise.analysis.records.early_exit import POINTS, EarlyExit, early_exits
from stagewise.analysis.records.logits import FINAL
from stagewise.analysis.records.metrics import Floats
from stagewise.analysis.tables.thresholds import exit_times

POSITION = 11
"""Place in the report."""
CAPTION = (
    "Early exit: test accuracy over the mean MACs of an image, and over its mean milliseconds, "
    "alone, where exits were timed. An image leaves at the first exit whose largest probability "
    "reaches a threshold, and has paid for every exit passed. From left to right the "
    "threshold rises from 0 (all leave at the first exit) until all reach the last; line: mean of "
    "{n}, the band spans all seeds. Marks: operating points that validation images chose, mean of "
    "the seeds. Cross: the last exit alone, on every image; star: the single network taught by KD. "
    "Up and left is better. {protocol}"
)
SCORE = "confidence"
EVERY = 20
"""Thresholds from one mark on a curve to the next."""
MARKS = dict(zip(POINTS, ("o", "s", "D"), strict=True))
MEANING = {
    "as accurate": "as the last exit",
    "half": "half of the MACs",
    "best": "most accurate",
}


@dataclass(frozen=True)
class Cost:
    """What an image takes. ``passed``: of a run, the mean over test images at each threshold.
    ``alone``: (arm, exit) → of that output alone, as far as it is known."""

    label: str
    passed: Callable[[EarlyExit], Floats]
    alone: pd.Series


def draw(results: Results) -> Figure:
    """Panels for each pair, over MACs and over time: the curve of every student with exits, with
    its operating points."""
    found = [each for each in early_exits(results.study) if each.score == SCORE]
    if not found:
        return drawing.notice("this study has no early exits with thresholds to choose")
    macs, (time, timed) = _macs(results), _time(results)
    panels: list[tuple[str, Cost, list[EarlyExit]]] = []
    for pair in dict.fromkeys(str(each.run["pair"]) for each in found):
        own = [each for each in found if each.run["pair"] == pair]
        clocked = [each for each in own if each.run["arm"] in timed]
        panels += [(pair, macs, own), *([(pair, time, clocked)] if clocked else [])]
    figure, grid = drawing.panels([2.5] * len(panels), 0.1)
    looks = {}
    for axes, (pair, cost, own) in zip(grid, panels, strict=True):
        for arm, runs in groupby(own, key=lambda each: str(each.run["arm"])):
            seeds = list(runs)
            look = drawing.arm_look(pd.Series(seeds[0].run))
            looks[str(seeds[0].run["display"])] = look
            _curve(axes, seeds, cost, look)
            last = str(seeds[0].test.shares.shape[1])
            _alone(axes, results, cost, (arm, last), (look[0], "x"))
        kd = (f"distillation/{pair}.kd", FINAL)
        _alone(axes, results, cost, kd, (drawing.look("kd")[0], "*"))
        axes.set_title(pair)
        axes.set_ylabel("test accuracy, %")
        axes.set_xlabel(cost.label)
    drawing.legend_below(figure, _handles(looks))
    return figure


def _macs(results: Results) -> Cost:
    alone = results.summary.groupby(["arm", "exit"])["macs"].mean() / 1e6
    return Cost("million multiply-adds an image, mean", lambda each: each.test.macs / 1e6, alone)


def _time(results: Results) -> tuple[Cost, dict[str, Floats]]:
    """Also arm → milliseconds to each exit, of those that were timed."""
    timed, times = results.timed, exit_times(results)
    alone = timed[timed["batch"] == 1].set_index(["arm", "exit"])["milliseconds"]

    def passed(each: EarlyExit) -> Floats:
        return np.asarray(each.test.shares @ times[str(each.run["arm"])])

    return Cost("milliseconds an image, mean", passed, alone), times


def _handles(looks: dict[str, tuple[str, str]]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, label=name)
        for name, (colour, marker) in looks.items()
    ]
    handles += [
        Line2D([], [], ls="", marker=mark, color=INK, mfc=PAPER, label=MEANING[point])
        for point, mark in MARKS.items()
    ]
    return [
        *handles,
        Line2D([], [], ls="", marker="x", color=INK, label="last exit alone"),
        Line2D([], [], ls="", marker="*", color=drawing.look("kd")[0], label="KD, no exits"),
    ]


def _curve(axes: Axes, seeds: Sequence[EarlyExit], cost: Cost, look: tuple[str, str]) -> None:
    """One arm's curve, with its mark at the ends and now and then, and its operating points."""
    colour, marker = look
    passed = np.array([cost.passed(each) for each in seeds])
    accuracy = np.array([each.test.accuracy for each in seeds])
    low, high = accuracy.min(axis=0), accuracy.max(axis=0)
    axes.fill_between(passed.mean(axis=0), low, high, color=colour, alpha=0.13, lw=0)
    style: dict[str, Any] = {"marker": marker, "markevery": EVERY, "markersize": 3, "mew": 0.5}
    axes.plot(passed.mean(axis=0), accuracy.mean(axis=0), color=colour, lw=1, **style)
    for point, mark in MARKS.items():
        chosen = [(number, each.chosen(point)) for number, each in enumerate(seeds)]
        places = [(passed[n, k], accuracy[n, k]) for n, k in chosen if k is not None]
        if places:
            axes.plot(*np.mean(places, axis=0), mark, color=colour, mfc=PAPER, markersize=5)


def _alone(
    axes: Axes, results: Results, cost: Cost, output: tuple[str, str], look: tuple[str, str]
) -> None:
    """An output on every image, at what it takes alone; nothing where that is not known."""
    rows = results.summary
    arm, exit = output
    accuracy = rows.loc[(rows["arm"] == arm) & (rows["exit"] == exit), "test_accuracy"]
    if len(accuracy) and output in cost.alone:
        colour, marker = look
        axes.plot(cost.alone[output], accuracy.mean(), marker, color=colour)
