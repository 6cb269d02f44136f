"""What recovery gives back of what pruning took, and whose doing it is, over how far was pruned."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from stagewise.analysis.claims.recovery import BETTER, DOINGS, Point, points
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import GREY, INK
from stagewise.analysis.records.labels import RECOVERED, pruned_student

POSITION = 13
"""Place in the report."""
CAPTION = (
    "Recovery over ratios, {n}, with 95 % intervals. First what each recovery gives back of what "
    "pruning took, in percent: 100 is the dense student, 0 what pruning leaves. Then whose doing "
    "it is, in points: KD (minus labels alone), two stages (minus one-stage KD), inherited weights "
    "(minus new ones in that shape), sparsity (minus the dense student with the same KD). Dashed: "
    "at rates that all recoveries share; solid: at each one's own. {protocol}"
)
LOOKS = dict(
    zip(
        DOINGS,
        [(drawing.PURPLE, "P"), (drawing.AMBER, "<"), (drawing.GREEN, "D"), (GREY, "X")],
        strict=True,
    )
)
"""Difference → colour and marker."""
DASHED = (0, (4, 1.6))
"""Line style of the families of rates."""
Look = tuple[str, str]
Course = tuple[Look, Callable[[Point], Paired]]


def draw(results: Results) -> Figure:
    """Two panels for each criterion of a pair's chain; one where nothing can be told apart."""
    found = [point for point in points(results) if point.family != BETTER]
    if not found:
        return drawing.notice("this study prunes no network")
    panels = []
    for _, points_of_block in groupby(found, _block):
        block = list(points_of_block)
        first = block[0]
        title = f"{first.pair}, {pruned_student(first.chain)}, {first.criterion}"
        back = [*_courses_back(block)]
        panels.append((block, back, f"{title}: given back", "of the damage, %", 100))
        doings = [(LOOKS[name], _effect(name)) for name in _doings(block)]
        if doings:
            panels.append((block, doings, f"{title}: whose doing", "points", 0))
    figure, grid = drawing.panels([1.9] * len(panels), 0.2)
    for axes, panel in zip(grid, panels, strict=True):
        _panel(axes, *panel)
    drawing.legend_below(figure, _handles(found))
    return figure


def _block(point: Point) -> tuple[str, str, str]:
    return point.pair, point.chain, point.criterion


def _recoveries(block: Iterable[Point]) -> list[str]:
    """Recoveries of some points, each once."""
    return [*dict.fromkeys(recovery for point in block for recovery in point.arms)]


def _doings(block: Iterable[Point]) -> list[str]:
    """The differences that any of some points has."""
    known = list(block)
    return [name for name in DOINGS if any(point.effect(DOINGS[name]).n for point in known)]


def _courses_back(block: list[Point]) -> Iterator[Course]:
    for recovery in _recoveries(block):
        yield drawing.look(recovery), _given_back(recovery)


def _given_back(recovery: str) -> Callable[[Point], Paired]:
    """Of a point what that recovery gives back, percent."""

    def given(point: Point) -> Paired:
        back = point.given_back(recovery) if recovery in point.arms else Paired(0)
        return Paired(back.n, 100 * back.mean, low=100 * back.low, high=100 * back.high)

    return given


def _effect(name: str) -> Callable[[Point], Paired]:
    return lambda point: point.effect(DOINGS[name])


def _panel(
    axes: Axes, block: list[Point], courses: list[Course], title: str, label: str, null: float
) -> None:
    """Some courses over the ratios, side by side at each so that their intervals can be told
    apart."""
    axes.axhline(null, color=GREY, lw=0.8, zorder=0.5)
    families = list(dict.fromkeys(point.family for point in block))
    drawn = list(product(courses, families))
    for number, (((colour, marker), value), family) in enumerate(drawn):
        beside = 1.012 ** (number - (len(drawn) - 1) / 2)
        own = [point for point in block if point.family == family]
        known = [(point.ratio * beside, value(point)) for point in own]
        known = [(x, effect) for x, effect in known if np.isfinite(effect.mean)]
        x, y = [x for x, _ in known], [effect.mean for _, effect in known]
        style = DASHED if family else "-"
        axes.plot(x, y, ls=style, lw=0.9, marker=marker, ms=3.5, color=colour)
        for place, effect in known:
            if np.isfinite(effect.low):
                ends = [effect.low, effect.high]
                axes.plot([place, place], ends, color=colour, lw=0.9, alpha=0.45, zorder=1)
    ratios = sorted({point.ratio for point in block})
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{ratio:g}×" for ratio in ratios])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(ratios[0] / 1.25, ratios[-1] * 1.25)
    axes.set_title(title)
    axes.set_ylabel(label)
    axes.set_xlabel("fewer multiply-adds")


def _handles(found: list[Point]) -> list[Line2D]:
    looks = [(RECOVERED.get(name, name), drawing.look(name)) for name in _recoveries(found)]
    looks += [(f"doing of {DOINGS[name].name}", LOOKS[name]) for name in _doings(found)]
    handles = [
        Line2D([], [], color=colour, marker=marker, lw=0.9, label=name)
        for name, (colour, marker) in looks
    ]
    for family in dict.fromkeys(point.family for point in found if point.family):
        handles.append(Line2D([], [], color=INK, ls=DASHED, lw=0.9, label=f"rates: {family}"))
    return handles
