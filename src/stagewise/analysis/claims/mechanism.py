"""Does the gradient shock cost accuracy? The correlation of the two within arms, over their seeds.

Between arms both follow the recipe and its learning rate, so that they would go together without
one being the other's cause. Within an arm only the seed differs. Runs of several arms are pooled
after each arm's own mean is taken from both: Pearson's partial correlation given the arm, with
Fisher's interval for as many degrees of freedom as that leaves (Fisher 1924).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
import pandas as pd
from scipy import stats

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import ALPHA, NAN
from stagewise.analysis.records.shock import MEASURES

SEEDS = 3
"""Least runs of an arm that counts."""


@dataclass(frozen=True)
class Within:
    """Correlation ``r`` within ``arms`` arms of ``n`` runs in all, and its 95 % interval; NaN where
    there is none."""

    arms: int
    n: int
    r: float = NAN
    low: float = NAN
    high: float = NAN

    @property
    def told(self) -> str:
        """``−0.12 [−0.40, +0.18]``; a dash where there is none."""
        if self.r != self.r:
            return "–"
        if self.low != self.low:
            return number(self.r, 2)
        return f"{number(self.r, 2)} [{number(self.low, 2)}, {number(self.high, 2)}]"


def runs_by_rate(results: Results) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """Pair, common rate (NaN: each arm's own) and the runs at it, with shock and accuracy; the
    tuned rates first."""
    runs = results.shock.merge(results.main[["path", "test_accuracy"]], on="path")
    for pair, part in runs.groupby("pair", sort=False):
        for _, at in part.groupby(part["common_rate"].fillna(0.0)):
            yield str(pair), float(at["common_rate"].iloc[0]), at


def sentences(results: Results, measure: str) -> Iterator[str]:
    """What was found of a measure at every rate that has an interval, in a sentence each."""
    log = MEASURES[measure].unit == "ratio"
    for pair, rate, runs in runs_by_rate(results):
        if said := sentence_within(pair, rate, measure, within_arms(runs, measure, log=log)):
            yield said


def sentence_within(pair: str, rate: float, measure: str, found: Within) -> str:
    """What was found of a measure at a rate; empty where that has no interval."""
    if found.low != found.low:
        return ""
    what = "is not shown to go with accuracy"
    if found.low > 0 or found.high < 0:
        what = f"goes with {'more' if found.r > 0 else 'less'} accuracy"
    where = "at tuned rates" if rate != rate else f"at rate {rate:g}"
    return (
        f"Over the seeds of a network, a larger {MEASURES[measure].name} {what} ({pair}, {where}:"
        f" correlation {found.told}, {found.n} runs of {found.arms} networks)."
    )


def within_arms(runs: pd.DataFrame, measure: str, *, log: bool) -> Within:
    """Of ``measure``, or its logarithm, and ``test_accuracy``, in the runs that have both.

    ``runs``: a row per run with its ``arm``. Arms of fewer than three such runs, or whose measure
    is the same in all, do not count.
    """
    known = runs[np.isfinite(runs[measure]) & ((runs[measure] > 0) | (not log))]
    values = np.log(known[measure]) if log else known[measure]
    both = pd.DataFrame(
        {"arm": known["arm"], "x": values.to_numpy(), "y": known["test_accuracy"].to_numpy()}
    )
    grouped = both.groupby("arm", sort=False)
    both = both[(grouped["x"].transform("size") >= SEEDS) & (grouped["x"].transform("std") > 0)]
    centred = both[["x", "y"]] - both.groupby("arm", sort=False)[["x", "y"]].transform("mean")
    arms, n = both["arm"].nunique(), len(both)
    spread = np.sqrt((centred**2).sum())
    if not arms or not spread["y"] > 0:
        return Within(arms, n)
    r = float((centred["x"] * centred["y"]).sum() / (spread["x"] * spread["y"]))
    freedom = n - arms - 2  # n - 3 of one arm
    if freedom < 1 or abs(r) > 1 - 1e-12:  # Fisher's transform has no interval there
        return Within(arms, n, r)
    half = float(stats.norm.ppf(1 - ALPHA / 2)) / sqrt(freedom)
    return Within(arms, n, r, tanh(atanh(r) - half), tanh(atanh(r) + half))
