"""Accuracy over what an answer costs, for every network that solves a pair's task: true places, the
line of those that nothing beats, and names beside them. For multiply-adds and for milliseconds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from stagewise.analysis.claims.frontier import frontier, usable
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY
from stagewise.analysis.records.labels import TASKS, short_name

MOST_NAMES = 12
"""Networks of a panel that may all bear their names."""
MOST_STACKED = 6
"""Of them, those that may cost the same, one above the other."""


@dataclass(frozen=True)
class Panel:
    """``rows``: a row per arm and seed of one pair and task. ``costs``: arm → what an image costs,
    in ``unit``."""

    rows: pd.DataFrame
    costs: Mapping[str, float]
    unit: str


def networks(results: Results) -> pd.DataFrame:
    """A row per arm and seed that could be used: on all classes, or, in a pair that is taught on
    the target classes alone, on these."""
    rows = usable(results.main)
    taught = rows[~rows["step"].isin(["teachers", "students"])]
    second = {*taught["pair"]} - {*taught.loc[taught["task"] == "all", "pair"]}
    task = rows["pair"].map(lambda pair: "target" if pair in second else "all")
    return rows[rows["task"] == task]


def draw(results: Results, costs: Mapping[str, float], unit: str) -> Figure:
    """A panel per pair; ``costs``: arm → what an image costs, in ``unit``."""
    rows = networks(results)
    rows = rows[rows["arm"].isin(costs)]
    return draw_panels([Panel(part, costs, unit) for _, part in rows.groupby("pair", sort=False)])


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """A figure of some panels."""
    if not panels:
        return drawing.notice("this study has no network whose cost is known")
    figure, grid = drawing.panels([2.0] * len(panels), 0.2)
    for axes, panel in zip(grid, panels, strict=True):
        _panel(axes, panel.rows, panel.costs)
        pair, task = panel.rows[["pair", "task"]].iloc[0]
        axes.set_title(pair if task == "all" else f"{pair}, {TASKS[task]}")
        axes.set_ylabel("test accuracy, %")
        axes.set_xlabel(panel.unit)
    rows = pd.concat([panel.rows for panel in panels]).drop_duplicates("path")
    if not all(_roomy(_points(panel.rows, panel.costs)) for panel in panels):
        drawing.legend_below(figure, _handles(rows))
    drawing.settle(figure)
    for axes, panel in zip(grid, panels, strict=True):
        lowest = axes.get_ylim()[0]
        drawing.label_points(axes, _labels(panel.rows, panel.costs, lowest))
    return figure


def _points(part: pd.DataFrame, costs: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    means = part.groupby("arm", sort=False)["test_accuracy"].mean()
    return {str(arm): (costs[str(arm)], float(mean)) for arm, mean in means.items()}


def _roomy(points: Mapping[str, tuple[float, float]]) -> bool:
    """Whether all networks of a panel may bear their names."""
    stacked = Counter(f"{cost:.2g}" for cost, _ in points.values())
    return len(points) <= MOST_NAMES and max(stacked.values()) <= MOST_STACKED


def _panel(axes: Axes, part: pd.DataFrame, costs: Mapping[str, float]) -> None:
    points = _points(part, costs)
    line = frontier(points)
    lowest = drawing.floor([accuracy for _, accuracy in points.values()])
    highest = max(accuracy for _, accuracy in points.values())
    air = 0.12 * max(highest - lowest, 1.0)
    axes.plot(*zip(*(points[arm] for arm in line), strict=True), color=GREY, lw=1, zorder=0.8)
    for arm, seeds in part.groupby("arm", sort=False):
        x, y = points[str(arm)]
        colour, marker = drawing.arm_look(seeds.iloc[0])
        size = {"*": 9.0, "X": 5.5, "P": 5.5}.get(marker, 4.5)
        if y < lowest:
            axes.plot([x], [lowest - air], "v", color=colour, markersize=4, clip_on=False)
            continue
        _, low, high = drawing.mean_interval(seeds["test_accuracy"])
        ends = [max(low, lowest - air), min(high, highest + 2 * air)]
        axes.plot([x, x], ends, color=colour, lw=0.9, alpha=0.45, zorder=1)
        axes.plot([x], [y], marker, color=colour, markersize=size, mew=0.9)
    axes.set_xscale("log")
    low, high = (end for end in (min(costs[a] for a in points), max(costs[a] for a in points)))
    axes.set_xlim(low / (high / low) ** 0.2 / 1.1, high * (high / low) ** 0.14 * 1.1)
    axes.set_ylim(lowest - air, min(highest + 2 * air, max(100.3, highest + air)))
    drawing.plain_log(axes, high / low)


def _labels(
    part: pd.DataFrame, costs: Mapping[str, float], lowest: float
) -> list[tuple[float, float, str]]:
    """Names: all where there is room; else of the line, the teacher, the student alone, KD of the
    dense student, and of what lies below the axis."""
    points, first = _points(part, costs), part.drop_duplicates("arm")
    runs = {str(run["arm"]): run for _, run in first.iterrows()}
    line, all_named = set(frontier(points)), _roomy(points)
    found = []
    for arm, (x, y) in points.items():
        run = runs[arm]
        plain = run["network"] == "student" and run["recipe"] == "one_stage"
        known = plain and (run["method"] == "kd" or (run["chain"] == "" and run["method"] == "ce"))
        known &= run["recovery"] in ("", "kd") and run["criterion"] in ("", "dense")
        low = y < lowest
        if all_named or arm in line or known or low or run["step"] == "teachers":
            name = f"{short_name(run)} {y:.1f}" if low else short_name(run)
            found.append((x, max(y, lowest), name))
    return found


def _handles(rows: pd.DataFrame) -> list[Line2D]:
    """A mark for each method, with the shortest of the names that it has: KD, and not KD with more
    epochs."""
    names: dict[str, list[str]] = {}
    for _, run in rows.drop_duplicates("arm").iterrows():
        names.setdefault(drawing.look_label(run), []).append(short_name(run, shape=False))
    handles = []
    for label, known in names.items():
        colour, marker = drawing.look(label)
        name = min(known, key=len)
        handles.append(Line2D([], [], ls="", marker=marker, color=colour, label=name))
    return handles
