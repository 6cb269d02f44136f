"""Arms at common learning rates, against standard training at the same rate."""

import pandas as pd

from stagewise.analysis.claims.contrasts import paired_to
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired
from stagewise.analysis.records.labels import by_rate
from stagewise.analysis.tables.best import best_arms
from stagewise.analysis.tables.cells import (
    costs,
    difference_columns,
    interval,
    loss,
    named,
    spread,
)
from stagewise.analysis.tables.table import Table

POSITION = 5
"""Place among the tables."""


def make(results: Results) -> Table:
    """A row for each pair, rate and arm of the study's common rates."""
    runs = results.main[results.main["common_rate"].notna()]
    data, shown = [], []
    for part in by_rate(runs):
        first, test = part.iloc[0], part["test_accuracy"]
        baseline, effect = _against_standard(runs, part)
        data.append(
            {
                **first[["pair", "arm", "weights"]],
                "rate": first["common_rate"],
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                "diverged": int(part["diverged"].sum()),
                "baseline": baseline,
                **difference_columns(effect),
                "parameters": first["parameters"],
                "macs": first["macs"],
            }
        )
        shown.append(
            {
                "Pair": first["pair"],
                "Rate": f"{first['common_rate']:g}",
                "Network": named(part),
                "Loss": loss(first),
                "Test accuracy, %": spread(test),
                "Minus standard, points": interval(effect),
                **costs(first),
            }
        )
    return Table(
        "rates",
        "Networks at common learning rates: mean ± sd (seeds), and the paired difference to "
        "standard training of the same pair at the same rate, with its 95 % t interval. No rate "
        "was chosen: each network is here at every one of them. One that diverged is wrong on "
        "every image that it no longer answers with numbers.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="This study compares no networks at common learning rates.",
        best=best_arms(rows for _, rows in runs.groupby(["pair", "common_rate"], sort=False)),
        group="pair and rate",
    )


def _against_standard(runs: pd.DataFrame, part: pd.DataFrame) -> tuple[str, Paired]:
    """The arm of standard training at an arm's pair and rate (empty where there is none, or the arm
    is it), and the paired difference to it."""
    first = part.iloc[0]
    same = (runs["pair"] == first["pair"]) & (runs["common_rate"] == first["common_rate"])
    standard = (runs["method"] == "ce") & (runs["recipe"] == "one_stage")
    control = runs[same & standard & (runs["arm"] != first["arm"])]
    return ("" if control.empty else str(control["arm"].iloc[0])), paired_to(
        part, control, "test_accuracy"
    )
