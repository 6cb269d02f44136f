"""Whether the gradient shock goes with less accuracy, within arms."""

from collections.abc import Iterator

import pandas as pd

from stagewise.analysis.claims.mechanism import Within, within_arms
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.shock import MEASURES
from stagewise.analysis.tables.table import Table

POSITION = 14
"""Place among the tables."""
SHOWN = ("shock_peak", "shock_start", "update_peak", "probe_fall_50")
"""Measures whose correlation with accuracy is shown."""


def make(results: Results) -> Table:
    """A row per pair, rate and measure: the tuned rates first."""
    main = results.main[["path", "test_accuracy"]]
    runs = results.shock.merge(main, on="path")
    data, shown, said = [], [], []
    for pair, rate, part in _rates(runs):
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
                    "Correlation with test accuracy": _interval(found),
                }
            )
        peak = within_arms(part, "shock_peak", log=True)
        if peak.low == peak.low:
            said.append(_said(pair, rate, peak))
    return Table(
        "mechanism",
        "Does a larger shock go with less accuracy? Correlation of a run's shock with its test "
        "accuracy over the seeds of a network, with its 95 % interval: each network's own mean is "
        "taken from both, as between networks both follow recipe and rate. " + " ".join(said),
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _rates(runs: pd.DataFrame) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Pair, common rate (NaN: each arm's own) and the runs at it."""
    for pair, part in runs.groupby("pair", sort=False):
        for _, at in part.groupby(part["common_rate"].fillna(0.0)):
            yield str(pair), float(at["common_rate"].iloc[0]), at


def _said(pair: str, rate: float, peak: Within) -> str:
    """What was found of the gradient's peak, in a sentence."""
    what = "is not shown to go with accuracy"
    if peak.low > 0 or peak.high < 0:
        what = f"goes with {'more' if peak.r > 0 else 'less'} accuracy"
    where = "at tuned rates" if rate != rate else f"at rate {rate:g}"
    return f"{pair}, {where}: a larger peak of the gradient {what}."


def _interval(found: Within) -> str:
    """``−0.12 [−0.40, +0.18]``; a dash where there is none."""
    if found.r != found.r:
        return "–"
    if found.low != found.low:
        return number(found.r, 2)
    return f"{number(found.r, 2)} [{number(found.low, 2)}, {number(found.high, 2)}]"
