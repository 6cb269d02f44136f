"""Measured latency by arm and batch size, where it was measured."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.cells import costs
from stagewise.analysis.tables.table import Table

POSITION = 7
"""Place among the tables."""


def make(results: Results) -> Table:
    """Measured latency by arm, exit and batch size, where it was measured."""
    summary = results.summary
    # Early exits were timed after the exits before them.
    passed = summary.assign(macs=summary["cumulative_macs"].fillna(summary["macs"]))
    taken = passed.groupby(["arm", "exit"], sort=False)[["parameters", "macs"]].mean()
    data, shown = pd.DataFrame(), pd.DataFrame()
    if len(results.timed):
        data = results.timed.merge(taken, on=["arm", "exit"])
        names = ["arm", "exit", "parameters", "macs"]
        wide = data.pivot_table(
            index=names, columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame(
            {
                "Arm": row["arm"],
                "Exit": row["exit"],
                **{f"Batch {batch}, ms": f"{row[batch]:.2f}" for batch in wide.columns},
                **costs(row),
            }
            for row in wide.reset_index().to_dict("records")
        )
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network of each arm; to an "
        "early exit past those before it, whose MACs are among its own. Repeats and threads are "
        "in the CSV.",
        data,
        shown,
    )
