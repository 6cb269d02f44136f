"""What the project runs, as a drawing: the four chapters of a study."""

import textwrap
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import BLUE, GREY, INK, ORANGE, PAPER, PURPLE, WIDTH
from stagewise.analysis.records.labels import shape

POSITION = 0
"""Place in the report."""
CAPTION = (
    "What is run. Towers are the stages of a network, the small block behind them is its "
    "classifier: filled parts are trained, hollow parts are frozen. Grey: the teacher; circles: "
    "exits. Everything downstream of a teacher is run with {n}. A faded chapter or arrow is not "
    "part of this study."
)
FADED = 0.25
TALL, SMALL, THIN = 3.4, 2.4, 1.1
"""Heights of a teacher, a student and a pruned student. Lengths are in tenths of an inch."""
PACE, TOWER = 3.0, 2.2
"""From one stage to the next, and how wide each is drawn."""
BOTTOM, TOP = 2.2, 7.6
"""Where students stand, and teachers."""
STAGES = 3


def draw(results: Results) -> Figure:
    """Distillation, two stages, exits and pruning; what the study lacks is faded."""
    runs = results.study.runs
    chapters: dict[str, tuple[str, Sequence[str], Callable[[Axes, pd.DataFrame], None]]] = {
        "Distillation": (_networks(results), ("students", "distillation"), _distillation),
        "Two stages": ("", ("two_stage",), _two_stages),
        "Exits": ("", ("multi_exit",), _exits),
        "Pruning and recovery": (_shapes(runs), ("pruning", "recovery"), _pruning),
    }
    figure, grid = drawing.panels([1.75] * len(chapters), 0)
    for axes, (title, (fact, steps, picture)) in zip(grid, chapters.items(), strict=True):
        part = runs[runs["step"].isin(steps)]
        axes.set(xlim=(0, 10 * WIDTH), ylim=(-4.1, 9.6), aspect=1)
        axes.set_axis_off()
        picture(axes, part)
        if part.empty:
            fact = "not in this study"
            for artist in axes.get_children():
                artist.set_alpha(FADED)
        elif not fact:
            fact = _list(part["display"])
        lines = textwrap.wrap(fact, 66)[:3] if len(fact) < 190 else [_counted(part)]
        axes.text(0.3, -0.9, "\n".join(lines), fontsize=7, va="top", linespacing=1.2)
        axes.set_title(title)
        if len(part):
            axes.set_title(f"{len(part)} runs", loc="right", fontsize=7, fontweight="normal")
    return figure


def _counted(part: pd.DataFrame) -> str:
    """How many different networks there are, where their names would be too many."""
    return f"{part['display'].nunique()} kinds of networks"


def _list(names: pd.Series) -> str:
    return ", ".join(str(name) for name in names.unique())


def _networks(results: Results) -> str:
    """Teacher and student of every pair."""
    pairs = results.study.config["pairs"].values()
    return ", ".join(
        f"{pair['teacher']['network']} → {pair['student']['network']}" for pair in pairs
    )


def _shapes(runs: pd.DataFrame) -> str:
    """The pruned shapes, and what recovers them."""
    pruned = runs[runs["step"] == "pruning"]
    if pruned.empty:
        return ""
    recovered = runs[(runs["step"] == "recovery") & (runs["criterion"] != "dense")]
    return f"{_list(pruned.apply(shape, axis=1))}; {_list(recovered['display'])}"


def _network(
    axes: Axes, x: float, y: float, height: float, colour: str, frozen: bool, head: bool = False
) -> None:
    """Three stages and a classifier from ``x`` on; a frozen one's ``head`` can be trained."""
    for stage in range(STAGES):
        tower = height * (1 - 0.2 * stage)
        _block(axes, x + PACE * stage, y - tower / 2, TOWER, tower, colour, frozen)
    size = 0.45 * height
    _block(axes, x + PACE * STAGES, y - size / 2, 1.3, size, colour, frozen and not head)


def _block(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str, frozen: bool
) -> None:
    face = PAPER if frozen else colour
    axes.add_patch(Rectangle((x, y), width, height, facecolor=face, edgecolor=colour, lw=1))


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str = INK,
    dashed: bool = False,
    alpha: float = 1,
) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=8,
            shrinkA=0,
            shrinkB=0,
            color=colour,
            lw=1,
            ls=(0, (3, 2)) if dashed else "-",
            alpha=alpha,
        )
    )


def _note(axes: Axes, x: float, y: float, text: str, colour: str = INK) -> None:
    axes.text(x, y, text, fontsize=7, ha="center", va="center", color=colour, linespacing=1.1)


def _distillation(axes: Axes, runs: pd.DataFrame) -> None:
    """Images through both; the student learns from labels and the teacher's soft targets."""
    del runs  # every study has teachers and students
    _network(axes, 8, TOP, TALL, GREY, frozen=True)
    _network(axes, 8, BOTTOM, SMALL, BLUE, frozen=False)
    _note(axes, 2.6, 4.9, "images")
    for y in (TOP, BOTTOM):
        _arrow(axes, (5.2, 4.9 + 0.25 * (y - 4.9)), (7.4, y))
    _arrow(axes, (17.65, TOP - 1.1), (17.65, BOTTOM + 1), ORANGE)
    _note(axes, 22.3, 4.9, "soft targets", ORANGE)
    _note(axes, 24.5, BOTTOM, "labels")
    _arrow(axes, (22.4, BOTTOM), (18.9, BOTTOM))
    _note(axes, 22.3, TOP, "teacher")
    _note(axes, 13, 0.2, "student")


def _two_stages(axes: Axes, runs: pd.DataFrame) -> None:
    """Stage 1: pretrained backbone frozen, new classifier; stage 2: everything."""
    del runs  # one picture for every recipe that has two stages
    _network(axes, 2, 3.6, SMALL, BLUE, frozen=True, head=True)
    _network(axes, 21, 3.6, SMALL, BLUE, frozen=False)
    _arrow(axes, (13.8, 3.6), (20, 3.6))
    _note(axes, 7.5, 1.2, "stage 1: classifier alone")
    _note(axes, 26.5, 1.2, "stage 2: whole network")
    _note(axes, 18, 8.6, "teacher's soft targets", ORANGE)
    _arrow(axes, (12.5, 8), (11.65, 4.4), ORANGE)
    _arrow(axes, (24, 8), (30.65, 4.4), ORANGE)


def _exits(axes: Axes, runs: pd.DataFrame) -> None:
    """OtO: exit to exit; MSKD: the teacher's answer to every exit; the ensemble at the end."""
    methods = set(runs["method"])
    _network(axes, 3, TOP, TALL, GREY, frozen=True)
    _network(axes, 3, 0.9, SMALL, BLUE, frozen=False)
    oto, mskd = (1 if {name} & methods or not methods else FADED for name in ("oto", "mskd"))
    first = 3 + TOWER / 2
    last = 3 + PACE * STAGES + 0.65  # the classifier's own answer is the last exit
    for x in (first, first + PACE, last):
        axes.add_patch(Circle((x, 5.3), 0.42, facecolor=PAPER, edgecolor=GREY))
        axes.add_patch(Circle((x, 2.8), 0.42, facecolor=BLUE, edgecolor=BLUE))
        start = (last + 0.35, 5) if x == last else (last - 0.45, 5.2)
        _arrow(axes, start, (x + 0.4, 3.1), PURPLE, dashed=True, alpha=mskd)
        _arrow(axes, (x, 4.85), (x, 3.3), ORANGE, alpha=oto)
    _arrow(axes, (13.4, 2.8), (15.8, 2.8))
    for y, text, colour in (
        (8.3, "OtO: exit k teaches exit k", ORANGE),
        (6.7, "MSKD: the teacher's answer", PURPLE),
        (5.4, "teaches every exit", PURPLE),
        (2.8, "ensemble: mean of all exits", INK),
    ):
        axes.text(16.4, y, text, fontsize=7, color=colour, va="center")


def _pruning(axes: Axes, runs: pd.DataFrame) -> None:
    """Dense, pruned, recovered."""
    del runs  # shapes and recoveries stand in the text
    for x, height, frozen, text in (
        (0.5, SMALL, False, "dense"),
        (13.4, THIN, True, "pruned"),
        (25.4, THIN, False, "recovered"),
    ):
        _network(axes, x, BOTTOM + 0.8, height, BLUE, frozen)
        _note(axes, x + 5, 0.6, text)
    _arrow(axes, (11.3, BOTTOM + 0.8), (12.9, BOTTOM + 0.8))
    _arrow(axes, (24.1, BOTTOM + 0.8), (25, BOTTOM + 0.8))
    _note(axes, 12, 6.2, "prune channels")
    _note(axes, 24.2, 8.3, "teacher's soft targets\nand labels", ORANGE)
    _arrow(axes, (26.5, 7), (30.2, BOTTOM + 2), ORANGE)
