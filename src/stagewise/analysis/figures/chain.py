"""Accuracy over every kind of cost, for the networks of the hybrid chain and of its links alone."""

from matplotlib.figure import Figure

from stagewise.analysis.claims.chains import Chained, chained
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import drawing, tradeoff

POSITION = 14
"""Place in the report."""
CAPTION = (
    "The hybrid chain, a two-stage student that is pruned and recovered, beside each technique "
    "alone: test accuracy, mean and 95 % t interval ({n}), over multiply-adds, parameters and, "
    "where they were measured, milliseconds of an answer, on logarithmic scales: up and left is "
    "better. The line joins the networks that none cheaper equals. Bytes go with parameters: they "
    "are in the table. {protocol}"
)
PANELS = {
    "macs": (1e6, "million multiply-adds an image"),
    "parameters": (1e3, "thousand parameters"),
    "milliseconds": (1.0, "milliseconds an image"),
}
"""Cost → what it is divided by, and its unit."""


def draw(results: Results) -> Figure:
    """A panel per cost, of each pair that has the chain."""
    groups = [group for group in chained(results) if (group.rows["chain"] == "two_stage").any()]
    if not groups:
        return drawing.notice("this study has no two-stage student that is pruned")
    return tradeoff.draw_panels([panel for group in groups for panel in _panels(group)])


def _panels(group: Chained) -> list[tradeoff.Panel]:
    found = []
    for kind, (size, unit) in PANELS.items():
        costs = {arm: cost / size for arm, cost in group.costs(kind).items()}
        rows = group.rows[group.rows["arm"].isin(costs)]
        found += [tradeoff.Panel(rows, costs, unit)] if len(rows) else []
    return found
