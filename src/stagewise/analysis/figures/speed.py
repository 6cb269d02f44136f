"""Accuracy over measured time: the twin of ``cost``."""

from matplotlib.figure import Figure

from stagewise.analysis.claims.chains import milliseconds
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing, tradeoff
from stagewise.analysis.tables.latency import disturbed

POSITION = -1
"""Place in the report."""
CAPTION = (
    "Accuracy over time: test accuracy, mean and 95 % t interval ({n}), over the milliseconds that "
    "one image alone takes where the study ran, on a logarithmic scale: up and left is better. The "
    "line joins the networks that none faster equals. Small networks are bound by the number of "
    "their layers, not by their multiply-adds. {protocol}"
)


def draw(results: Results) -> Figure:
    """A panel per pair."""
    times = milliseconds(results.timed)
    if not times:
        return drawing.notice("the latency of this study was not measured")
    alone = results.timed[results.timed["batch"] == results.timed["batch"].min()]
    busy = ", on a busy machine" if disturbed(alone).any() else ""
    return tradeoff.draw(results, times, f"milliseconds an image{busy}")
