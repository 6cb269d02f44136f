"""Measured latency by arm and batch size, where it was measured."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.cells import costs, count
from stagewise.analysis.tables.table import Table

POSITION = 7
"""Place among the tables."""


def make(results: Results) -> Table:
    """Measured latency by arm, exit and batch size, where it was measured."""
    summary = results.summary
    # Early exits were timed after the exits before them.
    passed = summary.assign(macs=summary["cumulative_macs"].fillna(summary["macs"]))
    by_exit, first = ["arm", "exit"], results.study.runs.drop_duplicates("arm")["path"]
    timed = passed[passed["path"].isin(first)].set_index(by_exit)[["parameters", "macs"]]
    taken = timed.join(passed.groupby(by_exit)["macs"].agg(macs_low="min", macs_high="max"))
    data, shown = pd.DataFrame(), pd.DataFrame()
    if len(results.timed):
        data = results.timed.merge(taken, on=by_exit)
        names = [*by_exit, *taken]
        wide = data.pivot_table(
            index=names, columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame(
            {
                "Arm": row["arm"],
                "Exit": row["exit"],
                **{f"Batch {batch}, ms": f"{row[batch]:.2f}" for batch in wide.columns},
                **costs(row),
                **_of_all(row, data),
            }
            for row in wide.reset_index().to_dict("records")
        )
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network of each arm, whose "
        "parameters and MACs these are; to an early exit past those before it, whose MACs are "
        "among its own. Where seeds were pruned to other shapes, the range of all stands beside. "
        "Repeats and threads are in the CSV.",
        data,
        shown,
    )


def _of_all(row: dict[Hashable, Any], data: pd.DataFrame) -> dict[str, str]:
    """From the least to the most MACs of an arm's seeds; no column where no arm's seeds differ."""
    if (data["macs_low"] == data["macs_high"]).all():
        return {}
    differ = row["macs_low"] < row["macs_high"]
    both = f"{count(row['macs_low'])} to {count(row['macs_high'])}"
    return {"MACs of all seeds": both if differ else "the same"}
