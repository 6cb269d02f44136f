"""Measured latency by arm and batch size, where it was measured."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import TASKS, full_name
from stagewise.analysis.tables.cells import costs, count
from stagewise.analysis.tables.table import Table

POSITION = 7
"""Place among the tables."""
BUSY = 0.3
"""Cores that others may take before a timing says so, as in ``measure/latency.py``."""


def make(results: Results) -> Table:
    """Measured latency by arm, exit and batch size, where it was measured."""
    summary = results.summary
    # Early exits were timed after the exits before them.
    passed = summary.assign(macs=summary["cumulative_macs"].fillna(summary["macs"]))
    by_exit, first = ["arm", "exit"], results.study.runs.drop_duplicates("arm")["path"]
    timed = passed[passed["path"].isin(first)].set_index(by_exit)[["parameters", "macs"]]
    taken = timed.join(passed.groupby(by_exit)["macs"].agg(macs_low="min", macs_high="max"))
    named = results.main.drop_duplicates("arm").set_index("arm")
    data, shown = pd.DataFrame(), pd.DataFrame()
    if len(results.timed):
        data = results.timed.merge(taken, on=by_exit)
        data = data[data["arm"].isin(named.index)]
        told = data.assign(told=data.apply(_told, axis=1))
        wide = told.pivot(index=["arm", "exit"], columns="batch", values="told")
        wide = wide.reindex(pd.MultiIndex.from_frame(data[["arm", "exit"]].drop_duplicates()))
        rows = []
        for key in wide.index.to_list():
            arm, output = str(key[0]), str(key[1])
            network, row = named.loc[arm], wide.loc[[key]].iloc[0]
            rows.append(
                {
                    "Network": full_name(pd.Series(network)),
                    "Pair": network["pair"],
                    "Task": TASKS[str(network["task"])],
                    "Exit": output,
                    **{f"Batch {batch}, ms": row[batch] for batch in wide.columns},
                    **costs(taken.loc[key]),
                    **_of_all(taken.loc[key], data),
                }
            )
        shown = pd.DataFrame(rows)
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network, the first seed’s, "
        "whose parameters and MACs these are; networks of the same shape share their timing. To an "
        "early exit, past those before it, whose MACs are among its own; of two networks, one "
        "after the other. Where seeds were pruned to other shapes, the range of all stands beside. "
        "In brackets: between which the middle eight tenths of the passes lie. Repeats and threads "
        f"are in the CSV.{_busy(data)}",
        data,
        shown,
    )


def _told(row: pd.Series) -> str:
    """``0.58 [0.55, 0.63]``: the median, and where the passes lie, as far as that was kept."""
    around = f" [{row['low']:.2f}, {row['high']:.2f}]" if pd.notna(row.get("low")) else ""
    return f"{row['milliseconds']:.2f}{around}"


def _of_all(row: pd.Series, data: pd.DataFrame) -> dict[str, str]:
    """From the least to the most MACs of an arm's seeds; no column where no arm's seeds differ."""
    if (data["macs_low"] == data["macs_high"]).all():
        return {}
    differ = row["macs_low"] < row["macs_high"]
    both = f"{count(row['macs_low'])} to {count(row['macs_high'])}"
    return {"MACs of all seeds": both if differ else "the same"}


def disturbed(timed: pd.DataFrame) -> pd.Series:
    """For each timing whether other processes used the machine, as far as that was kept."""
    return timed.get("others", pd.Series(float("nan"), timed.index)) > BUSY


def _busy(data: pd.DataFrame) -> str:
    """That other processes used the machine, where they did."""
    busy = data[disturbed(data)]
    if busy.empty:
        return ""
    return (
        f" The machine was busy: other processes took {busy['others'].max():.1f} cores meanwhile,"
        f" and {len(busy)} of {len(data)} timings are slower than they need be."
    )
