"""The planned runs that a study's results are made without, where some failed."""

import pandas as pd

from stagewise.analysis.records.study import Study


def missing_table(study: Study) -> pd.DataFrame:
    """A row per missing run, parents first: its path, the seeds that its network has left, why."""
    there = study.runs["arm"].value_counts()
    lost = pd.Series([run.arm for run in study.missing], dtype=str).value_counts()
    rows = []
    for run in study.missing:
        left = int(there.get(run.arm, 0))
        seeds = f"{left} of {left + int(lost[run.arm])}"
        rows.append({"Run": run.path, "Seeds left": seeds, "Why": run.why})
    return pd.DataFrame(rows, columns=["Run", "Seeds left", "Why"])


def missing_line(study: Study) -> str:
    """How many runs are missing, in a sentence; empty where none is."""
    count = len(study.missing)
    planned = count + len(study.runs)
    return (
        f"Not the whole study: {count} of {planned} planned runs are missing, because they or what"
        " they start from failed. Everything is made from the others; n tells the seeds of each"
        " number."
        if count
        else ""
    )
