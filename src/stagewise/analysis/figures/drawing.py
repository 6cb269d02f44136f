"""What the figures share: colours, the dots-and-mean mark, and bytes that depend on data only."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stagewise import catalogue
from stagewise.analysis.claims.statistics import paired
from stagewise.files import atomic, read_text

WIDTH = 3.6  # inches: one column of a paper, or a phone; every text keeps its size there
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
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY)
LONGEST = 18
"""Letters of a method's name where room is short."""
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
def style() -> Iterator[None]:
    """The project's matplotlib style, around both making and saving a figure."""
    with (
        as_file(files("stagewise.analysis.figures").joinpath("style.mplstyle")) as path,
        matplotlib.style.context(path),
    ):
        yield


def save(figure: Figure, folder: Path, name: str, dpi: int) -> None:
    """Write ``name`` in every form of ``FORMS``; equal figures give equal bytes.

    ``dpi``: dots per inch of the PNG.
    """
    _settle(figure)
    for form, metadata in FORMS.items():
        with atomic(folder / f"{name}.{form}") as temporary:
            # Dots are the PNG's alone: they move a vector figure's layout by hairs.
            dots = dpi if form == "png" else "figure"
            figure.savefig(temporary, format=form, dpi=dots, metadata=metadata)


def _settle(figure: Figure) -> None:
    """Lay out once, for good, and round: the solver's last digits differ from run to run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        x, y, width, height = np.round(axes.get_position(original=True).bounds, 6)
        axes.set_position((x, y, width, height))


def look(index: int) -> tuple[str, str]:
    """Colour and marker of the arm or pair with this place in its list; 24 differ."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def method_colour(label: str) -> str:
    """A method's colour, the same in every figure and study: a file's by its place among all of
    them, a variant's by its label.

    Of any hue, but of three lightnesses that all show on white and on black (OKLCH; Ottosson 2020).
    """
    known = sorted(catalogue.methods())
    number = known.index(label) if label in known else zlib.crc32(label.encode())
    lightness = (0.55, 0.62, 0.69)[number % 3]
    angle = number * GOLDEN_ANGLE
    a, b = 0.13 * np.cos(angle), 0.13 * np.sin(angle)
    cones = (lightness + np.array([[a, b]]) @ OKLAB_TO_CONES) ** 3
    light = np.clip(cones @ CONES_TO_RGB, 0, 1)[0]
    shades = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * shade):02x}" for shade in shades)


def method_name(name: str) -> str:
    """A method's name where room is short; a dagger marks an ensemble (OtO* is a method)."""
    name = name.replace(" (ensemble)", "†").replace("student alone", "alone")
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def notice(text: str) -> Figure:
    """A figure that says why it shows nothing: a study need not have every step."""
    figure = Figure(figsize=(WIDTH, 0.8))
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


def row_of_seeds(axes: Axes, y: float, values: pd.Series, colour: str) -> None:
    """One horizontal row: every seed a dot, the mean a diamond, its interval a bar."""
    spread = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(values, y + spread, "o", color=colour, markersize=3, alpha=0.55, mew=0)
    mean, low, high = mean_interval(values)
    axes.plot([low, high], [y, y], color=colour, linewidth=1.8)
    axes.plot([mean], [y], "D", color=colour, markersize=5, mec=PAPER, mew=0.7)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for the whole figure, under it."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
