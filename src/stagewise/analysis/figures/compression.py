"""The figure of accuracy against MACs: dense, pruned and recovered networks of each chain."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import COLOURS, GREY, INK, MARKERS, PAPER, WIDTH
from stagewise.analysis.records.labels import dense_students

POSITION = 5
"""Place in the report."""
CAPTION = (
    "Accuracy against multiply-adds for dense, pruned and recovered networks, mean and 95 % t "
    "interval (n = {n}): up and left is better. Networks of one shape stand side by side; a number "
    "is the value of a point below the axis. The fair opponent of a recovered network is the dense "
    "one with the same extra KD. {protocol}"
)
CHAINS = {
    "baseline": "from the student alone",
    "two_stage": "from the two-stage student",
}
RECOVERIES = {
    "none": "pruned, no recovery",
    "bn": "BN re-estimated",
    "ce": "recovered, CE",
    "kd": "recovered, KD",
    "two_stage_kd": "recovered, two-stage KD",
    "two_stage_ce": "recovered, two-stage CE",
    "rewound_ce": "recovered, CE, rate rewound",
    "rewound_kd": "recovered, KD, rate rewound",
    "self_kd": "recovered, KD from the dense student",
    "scratch_ce": "from scratch, CE",
    "scratch_ce_macs": "from scratch, CE, same MACs",
    "scratch_kd": "from scratch, KD",
    "group_sl": "made sparse",
}


def draw(results: Results) -> Figure:
    """Accuracy against MACs for the dense student, pruned and recovered networks."""
    main = results.main
    chained = main[main["chain"] != ""]
    if chained.empty:
        return drawing.notice("this study prunes no network")
    panels = list(chained.groupby(["pair", "chain"], sort=False))
    figure = Figure(figsize=(WIDTH, 2.1 * len(panels) + 0.95))
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, ((pair, chain), part) in zip(grid, panels, strict=True):
        dense = dense_students(results.study.runs, main, part)
        _operating_points(axes, dense, part)
        axes.set_title(f"{pair}, {CHAINS[str(chain)]}")
        axes.set_ylabel("test accuracy, %")
    grid[-1].set_xlabel("million MACs per image")
    used = [name for name in RECOVERIES if name in set(chained["recovery"])]
    handles = [
        Line2D([], [], ls="", marker="*", color=INK, markersize=7, label="dense"),
        Line2D(
            [], [], ls="", marker="*", color=_colour("kd"), markersize=7, label="dense, extra KD"
        ),
        *(
            Line2D([], [], ls="", marker=_marker(n), color=_colour(n), label=RECOVERIES[n])
            for n in used
        ),
    ]
    if (chained["criterion"] == "random").any():
        handles.append(
            Line2D(
                [], [], ls="", marker="o", color=GREY, mfc=PAPER, label="hollow: pruned at random"
            )
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _colour(recovery: str) -> str:
    return COLOURS[list(RECOVERIES).index(recovery) % len(COLOURS)]


def _marker(recovery: str) -> str:
    return MARKERS[list(RECOVERIES).index(recovery)]


def _operating_points(axes: Axes, dense: pd.DataFrame, part: pd.DataFrame) -> None:
    """One chain's points; those far below the recovered ones sit on the floor with their value."""
    trained = part[~part["recovery"].isin(["none", "bn"])]
    # By the seeds, not the intervals: those of two or three seeds would flatten all else.
    seeds = pd.concat([trained, dense])["test_accuracy"]
    lowest, highest = seeds.min(), seeds.max()
    floor = lowest - 0.25 * max(highest - lowest, 1.0)
    ticks = {}
    for ratio, shaped in part.groupby("ratio", sort=False):
        arms = [arm for _, arm in shaped.groupby("arm", sort=False)]
        arms = [dense, *arms] if ratio == 1 else arms
        centre = shaped["macs"].mean() / 1e6
        ticks[centre] = f"{centre:.3g}" + ("" if ratio == 1 else f"\n({ratio:g}× fewer)")
        # Networks of one shape have equal MACs: they stand side by side around them.
        step = min(1.08, 1.6 ** (1 / max(len(arms) - 1, 1)))
        for index, arm in enumerate(arms):
            _point(axes, arm, centre * step ** (index - (len(arms) - 1) / 2), floor)
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(floor - 0.08 * (highest - floor), highest + 0.08 * (highest - floor))


def _point(axes: Axes, arm: pd.DataFrame, x: float, floor: float) -> None:
    """One arm: mean and 95 % interval."""
    recovery, criterion = arm[["recovery", "criterion"]].iloc[0]
    mean, low, high = drawing.mean_interval(arm["test_accuracy"])
    is_dense = criterion in ("", "dense")
    colour = _colour(recovery) if recovery else INK
    face = PAPER if criterion == "random" else colour
    marker, size = ("*", 8) if is_dense else (_marker(recovery), 5)
    axes.plot([x], [max(mean, floor)], marker, color=colour, mfc=face, markersize=size)
    if mean < floor:
        # Two neighbours can both be below: their numbers stand at two heights.
        place, text = (0, 12 if recovery == "bn" else 5), f"{mean:.0f}"
        axes.annotate(text, (x, floor), place, textcoords="offset points", ha="center", fontsize=7)
    else:
        axes.plot([x, x], [max(low, floor), high], color=colour, lw=1.1, zorder=1.5)
