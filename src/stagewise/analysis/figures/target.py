"""The candidates of a target in its corner: fast enough, and right enough."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.target import TargetResult, judge_target
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import BLUE, GREEN, GREY, ORANGE

POSITION = -3
"""Place in the report."""
CAPTION = (
    "The target as a shaded corner: what is asked for to the left, and accuracies that are at most "
    "the allowed loss below the reference. Each candidate: mean test accuracy with the 95 % t "
    "interval of its difference to the reference ({n}), over the median of its files; a line from "
    "its fastest to its slowest seed, or from its smallest to its largest. {protocol}"
)
LABELS = {
    "latency": "milliseconds a call, on this machine",
    "macs": "multiply-adds an image",
    "parameters": "weights",
    "bytes": "bytes of the file",
}
LOOKS = {"float32": (BLUE, "o"), "int8": (ORANGE, "D")}
"""Form of a file → colour and marker."""


def draw(results: Results) -> Figure:
    """A panel for each quantity that is asked for."""
    found = judge_target(results)
    if found is None:
        return drawing.notice("this study has no target")
    figure, grid = drawing.panels([2.2] * len(found.goals), 0.2)
    labels = [_panel(axes, found, name) for axes, name in zip(grid, found.goals, strict=True)]
    forms = {str(each.rows["form"].iloc[0]) for each in found.judged}
    handles = [
        Line2D([], [], ls="", marker=LOOKS[form][1], color=LOOKS[form][0], label=form)
        for form in LOOKS
        if form in forms
    ]
    corner = Rectangle((0, 0), 1, 1, color=GREEN, alpha=0.15, lw=0, label="the target")
    drawing.legend_below(figure, [*handles, corner])
    drawing.settle(figure)
    for axes, named in zip(grid, labels, strict=True):
        drawing.label_points(axes, named)
    return figure


def _panel(axes: Axes, found: TargetResult, quantity: str) -> list[tuple[float, float, str]]:
    """One quantity; the names that stand beside its points."""
    theirs = float(found.reference["test_accuracy"].mean())
    cost, most = float(found.reference[quantity].median()), found.bound(quantity)
    least = theirs - found.chosen.loss
    axes.plot([cost], [theirs], "*", color=GREY, markersize=9)
    named = [(cost, theirs, found.against)]
    lows, highs, places = [theirs, least], [theirs], [cost, most]
    for each in found.judged:
        colour, marker = LOOKS[str(each.rows["form"].iloc[0])]
        x, y = each.taken[quantity], theirs + each.effect.mean
        if each.effect.low == each.effect.low:
            low, high = theirs + each.effect.low, theirs + each.effect.high
            axes.plot([x, x], [low, high], color=colour, lw=1.2, alpha=0.6)
            lows, highs = [*lows, low], [*highs, high]
        ends = [float(each.rows[quantity].min()), float(each.rows[quantity].max())]
        axes.plot(ends, [y, y], color=colour, lw=1.2, alpha=0.6)
        axes.plot([x], [y], marker, color=colour, markersize=5.5)
        named.append((x, y, each.name))
        lows, highs, places = [*lows, y], [*highs, y], [*places, *ends]
    air = 0.15 * max(max(highs) - min(lows), 0.5)
    left, right = min(places), max(places)
    axes.set_xscale("log")
    axes.set_xlim(left / (right / left) ** 0.25 / 1.05, right * (right / left) ** 0.25 * 1.05)
    axes.set_ylim(min(lows) - air, max(highs) + air)
    (begin, _), (_, top) = axes.get_xlim(), axes.get_ylim()
    axes.add_patch(
        Rectangle((begin, least), most - begin, top - least, color=GREEN, alpha=0.15, lw=0)
    )
    axes.set_xlabel(LABELS[quantity])
    axes.set_ylabel("test accuracy, %")
    drawing.plain_log(axes, right / left)
    return named
