"""Accuracy over measured time: the twin of ``cost``."""

from matplotlib.figure import Figure

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing, tradeoff
from stagewise.analysis.records.logits import ENSEMBLE, FINAL
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
    timed = results.timed
    alone = timed[(timed["batch"] == timed["batch"].min()) & timed["exit"].isin([FINAL, ENSEMBLE])]
    if alone.empty:
        return drawing.notice("the latency of this study was not measured")
    times = alone.groupby("arm")["milliseconds"].mean().to_dict()
    busy = ", on a busy machine" if disturbed(alone).any() else ""
    return tradeoff.draw(results, times, f"milliseconds an image{busy}")
