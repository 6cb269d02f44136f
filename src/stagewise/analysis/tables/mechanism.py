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
            counts = {"arms": found.arms, "n": found.n, "seeds": found.seeds}
            beside = {f"{key}_beside": value for key, value in found.beside._asdict().items()}
            row = {"pair": pair, "common_rate": rate, "measure": name, **counts}
            data.append(row | found.within._asdict() | beside)
            shown.append(
                {
                    "Pair": pair,
                    "Rate": "tuned" if pd.isna(rate) else f"{rate:g}, common",
                    "Measure": measure.name,
                    "Networks": found.arms,
                    "Runs": found.n,
                    "Seeds": found.seeds,
                    "Correlation with test accuracy": found.within.told,
                    "Without what a seed does to all": found.beside.told,
                }
            )
    return Table(
        "mechanism",
        "Does a larger shock go with less accuracy? Correlation of a run's shock with its test "
        "accuracy over the seeds of a network, with its 95 % interval over seeds: each network's "
        "own mean is taken from both, as between networks both follow recipe and rate. In the last "
        "column each seed's mean is taken, too: a seed whose classes are easy can make both large. "
        "Runs that diverged are left out. " + " ".join(sentences(results, SHOWN[0])),
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )
