"""Whether the gradient shock goes with less accuracy, within arms."""

import pandas as pd

from stagewise.analysis.claims.mechanism import runs_by_rate, sentences, within_arms
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.shock import MEASURES
from stagewise.analysis.tables.table import Table

POSITION = 14
"""Place among the tables."""
SHOWN = ("shock_peak", "shock_start", "update_peak", "probe_fall_50")
"""Measures whose correlation with accuracy is shown."""


def make(results: Results) -> Table:
    """A row per pair, rate and measure: the tuned rates first."""
    data, shown = [], []
    for pair, rate, part in runs_by_rate(results):
        for name in SHOWN:
            measure = MEASURES[name]
            found = within_arms(part, name, log=measure.unit == "ratio")
            data.append({"pair": pair, "common_rate": rate, "measure": name, **vars(found)})
            shown.append(
                {
                    "Pair": pair,
                    "Rate": "tuned" if pd.isna(rate) else f"{rate:g}, common",
                    "Measure": measure.name,
                    "Networks": found.arms,
                    "Runs": found.n,
                    "Correlation with test accuracy": found.told,
                }
            )
    return Table(
        "mechanism",
        "Does a larger shock go with less accuracy? Correlation of a run's shock with its test "
        "accuracy over the seeds of a network, with its 95 % interval: each network's own mean is "
        "taken from both, as between networks both follow recipe and rate; runs that diverged are "
        "left out. " + " ".join(sentences(results, SHOWN[0])),
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )
