"""Measured latency by arm and batch size, where it was measured."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.cells import costs
from stagewise.analysis.tables.table import Table

POSITION = 6
"""Place among the tables."""


def make(results: Results) -> Table:
    """Measured latency by arm and batch size, where it was measured."""
    main = results.main.groupby("arm", sort=False)[["parameters", "macs"]].mean()
    data, shown = pd.DataFrame(), pd.DataFrame()
    if results.latency is not None and len(results.latency):
        data = results.latency.merge(main, on="arm")
        wide = data.pivot_table(
            index=["arm", "parameters", "macs"], columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame(
            {
                "Arm": row["arm"],
                **{f"Batch {batch}, ms": f"{row[batch]:.2f}" for batch in wide.columns},
                **costs(row),
            }
            for row in wide.reset_index().to_dict("records")
        )
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network of each arm. "
        "Repeats and threads are in the CSV.",
        data,
        shown,
    )
