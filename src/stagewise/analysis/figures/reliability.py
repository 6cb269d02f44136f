"""Reliability diagrams: is a network as often right as it is sure?"""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import BLUE, INK, ORANGE, WIDTH
from stagewise.analysis.records import metrics
from stagewise.analysis.records.labels import TASKS, display

POSITION = 7
"""Place in the report."""
CAPTION = (
    "Reliability: accuracy (dots) against confidence in {bins} equal-width bins of test images, "
    "pooled over {n}; the larger a dot, the more images it holds; bins of fewer than 5 are left "
    "out. On the diagonal a network is as often right as it is sure; below, it is too sure, above, "
    "too modest. ECE: expected calibration error, percent, mean ± sd over seeds. {protocol}"
)
SHOWN = {
    "all": (
        "teachers/{pair}",
        "students/{pair}.baseline",
        "distillation/{pair}.kd",
        "multi_exit/{pair}.mskd",
        "multi_exit/{pair}.oto",
    ),
    "target": (
        "teachers/{pair}.target",
        "students/{pair}.pretrained",
        "two_stage/{pair}.one-stage.kd",
        "two_stage/{pair}.kd",
    ),
}
"""The arms of each task that are shown: one step after the other of what the papers do."""
COLUMNS = 3
LEAST = 5
"""Images of a bin below which its accuracy says nothing."""


def draw(results: Results) -> Figure:
    """Small multiples by pair and task: confidence against accuracy on the test images."""
    main = results.main
    panels = []
    for (pair, task), part in main.groupby(["pair", "task"], sort=False):
        arms = [name.format(pair=pair) for name in SHOWN.get(str(task), ())]
        found = [part[part["arm"] == arm] for arm in arms if (part["arm"] == arm).any()]
        if found:
            panels.append((f"{pair}, {TASKS[str(task)]}", found))
    if not panels:
        return drawing.notice("this study has none of the networks shown")
    columns = round(COLUMNS * drawing.width() / WIDTH)
    lines = [-(-len(arms) // columns) for _, arms in panels]
    figure = Figure(figsize=(drawing.width(), 1.42 * sum(lines) + 0.4))
    grid = figure.subplots(sum(lines), columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat:
        axes.set_axis_off()
    first = 0
    for count, (title, parts) in zip(lines, panels, strict=True):
        for axes, part in zip(grid[first : first + count].flat, parts, strict=False):
            axes.set_axis_on()
            _diagram(results, axes, part)
        grid[first, 0].set_ylabel(title, fontweight="bold")
        first += count
    figure.supxlabel("confidence", fontsize=8)
    figure.supylabel("accuracy", fontsize=8)
    return figure


def _diagram(results: Results, axes: Axes, arm: pd.DataFrame) -> None:
    """One arm's diagram, pooled over its seeds; diverged images are left out."""
    bins = results.study.config["evaluation"]["ece_bins"]
    tests = [results.study.files(path).logits("test")["test"] for path in arm["path"]]
    logits = np.concatenate([test.outputs[-1] for test in tests])
    labels = np.concatenate([test.labels for test in tests])
    sound = np.isfinite(logits).all(axis=1)
    images, confidence, accuracy = metrics.reliability(
        metrics.log_softmax(logits[sound]), labels[sound], bins
    )
    shown = images >= LEAST
    images, confidence, accuracy = images[shown], confidence[shown], accuracy[shown]
    axes.plot([0, 1], [0, 1], color=INK, lw=0.7, ls=(0, (4, 3)))
    axes.vlines(confidence, confidence, accuracy, color=ORANGE, lw=1)
    size = 6 + 50 * images / len(labels)
    axes.scatter(confidence, accuracy, s=size, color=BLUE, lw=0, zorder=3, clip_on=False)
    ece = 100 * arm["test_ece"]
    spread = f" ± {ece.std():.1f}" if len(ece) > 1 else ""
    name = textwrap.fill(display(arm.iloc[0]), 17)
    axes.set_title(f"{name}\nECE {ece.mean():.1f}{spread}", fontsize=7, fontweight="normal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(labelbottom=True, labelsize=7)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect=1)
