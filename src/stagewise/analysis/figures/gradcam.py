"""Where exits look: Grad-CAM maps of a few test images, the teacher's and the students'."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing
from stagewise.analysis.figures.drawing import WIDTH
from stagewise.analysis.records.gradcam import IMAGES, picture, read_pictures
from stagewise.analysis.records.logits import FINAL

POSITION = 12
"""Place in the report."""
CAPTION = (
    "Where exits look for the class of a test image: Grad-CAM, yellow where a place speaks most "
    "for it, of the teacher's deepest exit whose map is large enough, and of students' exits at "
    "the same place (first seed). Below a name: Spearman's ρ of the student's maps with the "
    "teacher's, mean over the sample of test images and {n}. The images are the sample's first of "
    "as many classes, not a choice. {protocol}"
)
MOST = 6
"""Students of a pair."""
PAPER_B = ("multi_exit/{pair}.", "students/{pair}.baseline", "distillation/{pair}.kd")
"""What the names of these begin with, the first ones first."""
VEIL = 0.6
"""How much of the picture is the map."""

Bytes = NDArray[np.uint8]
Colours = NDArray[np.float64]
"""(H, W, 4), from 0 to 1."""


def draw(results: Results) -> Figure:
    """A panel per pair: a column per image, below it the maps, a row per network."""
    maps = results.gradcam
    if maps is None or results.pictures is None or not maps["images"].any():
        return drawing.notice("this study compared no Grad-CAM maps")
    pictures = read_pictures(results.pictures)
    panels = {str(pair): _rows(part, pictures) for pair, part in maps.groupby("pair", sort=False)}
    panels = {pair: rows for pair, rows in panels.items() if rows}
    if not panels:
        return drawing.notice("this study kept no pictures of Grad-CAM maps")
    heights = [1 + len(rows) for rows in panels.values()]
    figure = Figure(figsize=(WIDTH, 0.55 * sum(heights) + 0.4 * len(panels)))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (pair, rows) in zip(grid, panels.items(), strict=True):
        _panel(axes, pictures[IMAGES], rows)
        axes.set_title(pair)
    return figure


def _rows(part: pd.DataFrame, pictures: dict[str, Bytes]) -> dict[str, Bytes]:
    """Name → maps, of a pair's teacher and of the students that were compared with it where it is
    deepest."""
    [pair] = part["pair"].unique()
    names = [picture(*own) for own in zip(part["path"], part["exit"], strict=True)]
    drawn = part[[name in pictures for name in names]]
    groups = {
        (str(teacher), str(exit)): rows
        for (teacher, exit), rows in drawn.groupby(["teacher", "teacher_exit"], sort=False)
    }
    if not groups:
        return {}
    teacher, exit = max(groups, key=lambda key: (_depth(key[1]), len(groups[key])))
    own = groups[teacher, exit]
    first = [own["arm"].str.startswith(start.format(pair=pair)) for start in PAPER_B]
    chosen = pd.concat([own[named] for named in first])[:MOST]
    found = {"teacher": pictures[picture(teacher, exit)]}
    for row in chosen.itertuples():
        same = part[(part["arm"] == row.arm) & (part["exit"] == row.exit)]
        name = drawing.method_name(str(row.display), 2)
        found[f"{name}\nρ {number(same['spearman'].mean(), 2)}"] = pictures[
            picture(str(row.path), str(row.exit))
        ]
    return found


def _depth(exit: str) -> float:
    return np.inf if exit == FINAL else int(exit)


def _panel(axes: Axes, images: Bytes, rows: dict[str, Bytes]) -> None:
    """All pictures as one, with gaps, and the names of its rows."""
    tiles = [[_coloured(image) for image in images]]
    tiles += [[_veiled(*both) for both in zip(images, maps, strict=True)] for maps in rows.values()]
    gap = max(1, images.shape[2] // 8)
    axes.imshow(_mosaic(tiles, gap), interpolation="nearest")
    height = images.shape[2] + gap
    centres = [height * place + (images.shape[2] - 1) / 2 for place in range(len(tiles))]
    axes.set_yticks(centres, ["test image", *rows])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def _mosaic(tiles: Sequence[Sequence[Colours]], gap: int) -> Colours:
    """Tiles of one size in rows and columns; what is between them is not painted."""
    padded = [np.hstack([np.pad(tile, ((0, gap), (0, gap), (0, 0))) for tile in r]) for r in tiles]
    return np.asarray(np.vstack(padded)[:-gap, :-gap])


def _coloured(image: Bytes) -> Colours:
    """(C, H, W) bytes as they are; of one channel, grey."""
    rgb = np.broadcast_to(image, (3, *image.shape[1:])).transpose(1, 2, 0) / 255
    return np.dstack([rgb, np.ones(rgb.shape[:2])])


def _veiled(image: Bytes, map: Bytes) -> Colours:
    """The grey image with the map over it."""
    grey = _coloured(image.mean(axis=0, keepdims=True).astype(np.uint8))
    return (1 - VEIL) * grey + VEIL * matplotlib.colormaps["viridis"](map)
