"""Accuracy over multiply-adds: what a network gives for what it takes."""

from matplotlib.figure import Figure

from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import tradeoff

POSITION = -2
"""Place in the report."""
CAPTION = (
    "Accuracy over cost: test accuracy, mean and 95 % t interval ({n}), over multiply-adds of an "
    "answer, on a logarithmic scale: up and left is better. The line joins the networks that none "
    "cheaper equals. “2× KD” is a network pruned to half its cost and recovered with KD. Networks "
    "that were pruned and not trained again are left out, and controls; an arrow points to one "
    "below the axis. {protocol}"
)


def draw(results: Results) -> Figure:
    """A panel per pair."""
    rows = tradeoff.networks(results)
    macs = rows.groupby("arm")["macs"].mean() / 1e6
    costs = {str(arm): float(value) for arm, value in macs.items()}
    return tradeoff.draw(results, costs, "million multiply-adds an image")
