"""Measured latency by arm and batch size, where it was measured."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import TASKS, full_name
from stagewise.analysis.tables.cells import count, counts
from stagewise.analysis.tables.table import Table

POSITION = 7
"""Place among the tables."""


def make(results: Results) -> Table:
    """Measured latency by arm, exit and batch size, where it was measured."""
    summary = results.summary
    # Early exits were timed after the exits before them.
    passed = summary.assign(macs=summary["cumulative_macs"].fillna(summary["macs"]))
    seeds = passed.groupby(["arm", "exit"], sort=False)
    taken = seeds[["parameters", "macs"]].mean()
    named = results.main.drop_duplicates("arm").set_index("arm")
    data, shown = pd.DataFrame(), pd.DataFrame()
    if len(results.timed):
        data = results.timed.merge(taken, on=["arm", "exit"])
        data = data[data["arm"].isin(named.index)]
        wide = data.pivot_table(
            index=["arm", "exit"], columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame(
            {
                "Network": full_name(named.loc[arm]),
                "Pair": named.loc[arm, "pair"],
                "Task": TASKS[named.loc[arm, "task"]],
                "Exit": output,
                **{f"Batch {batch}, ms": f"{row[batch]:.2f}" for batch in wide.columns},
                "Parameters": counts(seeds.get_group((arm, output))["parameters"]),
                "MACs": count(taken.loc[(arm, output), "macs"]),
            }
            for (arm, output), row in wide.iterrows()
        )
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network, the first seed’s; to an "
        "early exit past those before it, whose MACs are among its own. Where seeds "
        "were pruned to different shapes, their range is told. Repeats and threads are in the CSV.",
        data,
        shown,
    )
