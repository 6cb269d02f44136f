"""What the figures share: formats, colours, labels that fit, and bytes that depend on data only."""

import textwrap
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
import yaml
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from stagewise.analysis.claims.statistics import paired
from stagewise.files import atomic, read_text


@dataclass(frozen=True)
class Format:
    """What figures are drawn for: ``width`` in inches, panels side by side at most, and width over
    height where that is given."""

    width: float
    columns: int
    ratio: float | None = None


FORMATS = {
    "column": Format(3.6, 1),  # one column of a paper, or a phone; every text keeps its size there
    "page": Format(7.2, 2),
    # Shown on a screen twice as wide, 8 points are 16.
    "slide": Format(6.4, 2, 16 / 9),
}
_FORMAT = ContextVar("format", default=FORMATS["column"])
WIDTH = FORMATS["column"].width
INK, PAPER = "#1b1b1f", "#fefefe"  # as in style.mplstyle; the report lets both follow the reader
GREY = "#7a7a80"
# Okabe and Ito's colours: distinct for all common kinds of colour blindness.
BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)
LONGEST = 18
"""Letters of a line of a method's name where room is short."""
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
OKLAB_TO_CONES = np.array(
    [[0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
)
CONES_TO_RGB = np.array(
    [
        [4.0767416621, -1.2684380046, -0.0041960863],
        [-3.3077115913, 2.6097574011, -0.7034186147],
        [0.2309699292, -0.3413193965, 1.7076147010],
    ]
)
NOTICE = "notice"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
FORMS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
"""File types of every figure, and what their files must not say: dates and versions."""


@contextmanager
def style(name: str = "column") -> Iterator[None]:
    """The project's matplotlib style and a format of ``FORMATS``, around both making and saving a
    figure."""
    token = _FORMAT.set(FORMATS[name])
    try:
        with (
            as_file(files("stagewise.analysis.figures").joinpath("style.mplstyle")) as path,
            matplotlib.style.context(path),
        ):
            yield
    finally:
        _FORMAT.reset(token)


def width() -> float:
    """Inches that a figure is wide."""
    return _FORMAT.get().width


def save(figure: Figure, folder: Path, name: str, dpi: int) -> None:
    """Write ``name`` in every form of ``FORMS``; equal figures give equal bytes.

    ``dpi``: dots per inch of the PNG.
    """
    settle(figure)
    for form, metadata in FORMS.items():
        with atomic(folder / f"{name}.{form}") as temporary:
            # Dots are the PNG's alone: they move a vector figure's layout by hairs.
            dots = dpi if form == "png" else "figure"
            figure.savefig(temporary, format=form, dpi=dots, metadata=metadata)


def settle(figure: Figure) -> None:
    """Lay out once, for good, and round: the solver's last digits differ from run to run. A format
    of a given shape gets it by room that is added, so that nothing is cut."""
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        return
    ratio = _FORMAT.get().ratio
    if ratio:
        across, high = figure.get_size_inches()
        figure.set_size_inches(max(across, high * ratio), max(high, across / ratio))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, across, high = np.round(axes.get_position(original=True).bounds, 6)
        axes.set_position((x, y, across, high))


def panels(heights: Sequence[float], extra: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of some heights, in inches, side by side as far as the format
    lets them; ``extra``: inches for what stands around them."""
    columns = min(_FORMAT.get().columns, len(heights))
    rows = [max(heights[at : at + columns]) for at in range(0, len(heights), columns)]
    figure = Figure(figsize=(width(), sum(rows) + extra))
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=rows, **options)
    for axes in grid.flat[len(heights) :]:
        axes.set_visible(False)
    return figure, list(grid.flat[: len(heights)])


@cache
def _looks() -> dict[str, tuple[str, str]]:
    text = files("stagewise.analysis.figures").joinpath("looks.yaml").read_text(encoding="utf-8")
    return {str(name): tuple(look) for name, look in yaml.safe_load(text).items()}


def look(label: str) -> tuple[str, str]:
    """Colour and marker of a method's label, the same in every figure and study (``looks.yaml``);
    of an unknown one by the letters of its name alone."""
    if label in _looks():
        return _looks()[label]
    number = zlib.crc32(label.encode())
    return _colour(number), MARKERS[number % len(MARKERS)]


def look_label(run: pd.Series) -> str:
    """What an arm's look is named by: what taught the network, or recovered it."""
    if run["recovery"] and run["criterion"] != "dense":
        return str(run["recovery"])
    if run["network"] == "teacher":
        return "teacher" if run["step"] == "teachers" else "teacher's network"
    if run["network"] == "control":
        return str(run["name"]).rsplit(".", maxsplit=1)[-1]
    return f"two_stage_{run['method']}" if run["recipe"] == "two_stage" else str(run["method"])


def arm_look(run: pd.Series) -> tuple[str, str]:
    """Colour and marker of an arm."""
    return look(look_label(run))


def _colour(number: int) -> str:
    """Of any hue, but of three lightnesses that all show on white and on black (OKLCH; Ottosson
    2020)."""
    lightness = (0.55, 0.62, 0.69)[number % 3]
    angle = number * GOLDEN_ANGLE
    a, b = 0.13 * np.cos(angle), 0.13 * np.sin(angle)
    cones = (lightness + np.array([[a, b]]) @ OKLAB_TO_CONES) ** 3
    light = np.clip(cones @ CONES_TO_RGB, 0, 1)[0]
    shades = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * shade):02x}" for shade in shades)


def method_name(name: str, lines: int = 1) -> str:
    """A method's name where room is short, in at most so many lines; a dagger marks an ensemble
    (OtO* is a method)."""
    name = name.replace(" (ensemble)", "†").replace("student alone", "alone")
    if lines > 1:
        parts = textwrap.wrap(
            name, LONGEST, max_lines=lines, placeholder="…", break_on_hyphens=False
        )
        return "\n".join(parts)
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def notice(text: str) -> Figure:
    """A figure that says why it shows nothing: a study need not have every step."""
    figure = Figure(figsize=(width(), 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=INK, gid=NOTICE)
    return figure


def is_notice(svg: Path) -> bool:
    """Whether a drawn figure only says why it shows nothing."""
    return f'id="{NOTICE}"' in read_text(svg)


def mean_interval(values: pd.Series) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % t interval (the mean itself where there is none)."""
    result = paired(values)
    if not np.isfinite(result.low):
        return result.mean, result.mean, result.mean
    return result.mean, result.low, result.high


def floor(values: Sequence[float] | pd.Series, least: float = 2.0) -> float:
    """Where an axis of accuracies begins, so that few very bad ones do not flatten all others:
    those below get an arrow. ``least``: points that it shows at least."""
    known = np.asarray(values, dtype=np.float64)
    middle, top = float(np.quantile(known, 0.5)), float(known.max())
    lowest = middle - max(2.5 * (top - middle), least)
    return float(known[known >= lowest].min())


def reach(differences: Sequence[float] | pd.Series) -> float:
    """How far from zero an axis of differences goes, in points, so that few very large ones do not
    flatten all others."""
    sizes = np.abs(np.asarray(differences, dtype=np.float64))
    middle = float(np.median(sizes)) if len(sizes) else 0.0
    near = sizes[sizes <= max(4 * middle, 3.0)]
    return max(1.0, float(near.max()) * 1.3 if len(near) else 1.0)


def row_of_seeds(axes: Axes, y: float, values: pd.Series, look: tuple[str, str]) -> None:
    """One horizontal row: every seed a dot, the mean a mark, its interval a bar; what lies left of
    the axis is an arrow with the mean."""
    colour, marker = look
    left = axes.get_xlim()[0]
    mean, low, high = mean_interval(values)
    if mean < left:
        axes.plot([left], [y], "<", color=colour, markersize=4, clip_on=False)
        place: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 7}
        axes.annotate(f"{mean:.1f}", (left, y), (6, 0), color=INK, **place)
        return
    spread = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(values, y + spread, "o", color=colour, markersize=3, alpha=0.55, mew=0)
    axes.plot([low, high], [y, y], color=colour, linewidth=1.8)
    size = 9 if marker == "*" else 6
    axes.plot([mean], [y], marker, color=colour, markersize=size, mec=PAPER, mew=0.5)


def plain_log(axes: Axes, span: float) -> None:
    """Plain numbers on a logarithmic x axis, whose ends are a factor of ``span`` apart."""
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 60 else (1,)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)


def legend_below(figure: Figure, handles: Sequence[Artist]) -> None:
    """One legend for the whole figure, under it: in as many columns as its width takes, on room of
    its own."""
    if not handles:
        return
    across, height = (float(size) for size in figure.get_size_inches())
    figure.set_figheight(height + 20)  # a legend of many does not fit before its height is known
    for columns in range(min(5, len(handles)), 0, -1):
        legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        box = legend.get_window_extent()
        if box.width / figure.dpi <= across - 0.05 or columns == 1:
            break
        legend.remove()
    figure.set_figheight(height + box.height / figure.dpi)


DIRECTIONS = tuple(
    (reach * np.cos(angle), reach * np.sin(angle))
    for reach in (5.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0)
    for angle in np.pi * np.array([0, 1, 0.25, -0.25, 0.5, -0.5, 0.75, -0.75])
)
"""Places of a label around its point, in points, the best first."""


def label_points(axes: Axes, labels: Sequence[tuple[float, float, str]]) -> None:
    """Names beside points of a settled figure, where they cover neither each other nor a point;
    those that had to go further away with a thin line. Lower ones give way."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    dot = figure.dpi / 72
    inside = axes.get_window_extent(renderer).padded(2 * dot)
    taken = [
        Bbox.from_extents(x - 3 * dot, y - 3 * dot, x + 3 * dot, y + 3 * dot)
        for line in axes.lines
        if line.get_marker() not in ("", "None", None)
        for x, y in axes.transData.transform(np.column_stack(line.get_data()))
    ]
    for line in axes.lines:  # names keep off lines, too
        places = axes.transData.transform(np.column_stack(line.get_data()))
        for start, end in pairwise(places):
            steps = max(2, int(np.hypot(*(end - start)) / (6 * dot)))
            for x, y in np.linspace(start, end, steps):
                taken.append(Bbox.from_extents(x - dot, y - dot, x + dot, y + dot))
    for x, y, name in sorted(labels, key=lambda label: -label[1]):
        text = textwrap.fill(name, LONGEST + 4)
        best: tuple[float, Annotation | None, Bbox | None] = (np.inf, None, None)
        for number, (dx, dy) in enumerate(DIRECTIONS):
            side = "left" if dx > 1 else "right" if dx < -1 else "center"
            level = "center" if abs(dy) < 1 else "bottom" if dy > 0 else "top"
            note = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", ha=side, va=level, fontsize=7
            )
            box = note.get_window_extent(renderer)
            covered = sum(_overlap(box, other) for other in taken)
            outside = box.width * box.height - _overlap(box, inside)
            cost = covered + 50 * outside + number * 1e-3
            if cost < best[0]:
                if best[1] is not None:
                    best[1].remove()
                best = (cost, note, box)
            else:
                note.remove()
            if covered + outside < 1e-6:
                break
        _, chosen, place = best
        assert chosen is not None
        assert place is not None
        chosen.set_in_layout(False)
        taken.append(place)
        across, up = chosen.xyann
        if np.hypot(across, up) > 13:
            axes.annotate(
                "",
                (x, y),
                (across, up),
                textcoords="offset points",
                arrowprops={
                    "arrowstyle": "-",
                    "color": GREY,
                    "lw": 0.5,
                    "shrinkA": 0,
                    "shrinkB": 3,
                },
            ).set_in_layout(False)


def _overlap(first: Bbox, second: Bbox) -> float:
    shared = Bbox.intersection(first, second)
    return float(shared.width * shared.height) if shared else 0.0


def spread_out(places: Sequence[float], apart: float) -> NDArray[np.float64]:
    """The same places, in their order, moved until neighbours are ``apart``."""
    found = np.asarray(places, dtype=np.float64).copy()
    order = np.argsort(found, kind="stable")
    for _ in range(200):
        gaps = np.diff(found[order])
        close = gaps < apart - 1e-9
        if not close.any():
            break
        push = np.where(close, (apart - gaps) / 2, 0)
        found[order[:-1]] -= push
        found[order[1:]] += push
    return found
