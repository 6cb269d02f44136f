"""Does the gradient shock cost accuracy? The correlation of the two within arms, over their seeds.

Between arms both follow the recipe and its learning rate, so that they would go together without
one being the other's cause. Within an arm only the seed differs. Runs of several arms are pooled
after each arm's own mean is taken from both: Pearson's partial correlation given the arm. All arms
have the same seeds, and a seed may be a class split and a teacher of its own, so runs are not
independent: the interval is the jackknife's over seeds, on Fisher's scale (Efron and Stein 1981).
What a seed does to all arms alike, an easy class split, can make both large: ``beside`` is the
correlation with each seed's own mean taken too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import ALPHA, NAN
from stagewise.analysis.records.shock import MEASURES

SEEDS = 3
"""Least runs of an arm that counts."""


class Correlation(NamedTuple):
    """``r`` and its 95 % interval; NaN where there is none."""

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

    @property
    def found(self) -> str:
        """What of the two is said to go together; empty where there is no interval."""
        if self.low != self.low:
            return ""
        if self.low > 0 or self.high < 0:
            return f"goes with {'more' if self.r > 0 else 'less'} accuracy"
        return "is not shown to go with accuracy"


@dataclass(frozen=True)
class Within:
    """``within`` ``arms`` arms of ``n`` runs in all on ``seeds`` seeds, and ``beside`` what the
    seeds do to all arms."""

    arms: int
    n: int
    seeds: int
    within: Correlation
    beside: Correlation


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
    if not found.within.found:
        return ""
    where = "at tuned rates" if rate != rate else f"at rate {rate:g}"
    begun = (
        f"Over the seeds of a network, a larger {MEASURES[measure].name} {found.within.found}"
        f" ({pair}, {where}: correlation {found.within.told}, {found.n} runs of {found.arms}"
        f" networks on {found.seeds} seeds)"
    )
    if not found.beside.found:
        return f"{begun}."
    return (
        f"{begun}; without what a seed does to all networks alike, it {found.beside.found}"
        f" ({found.beside.told})."
    )


def within_arms(runs: pd.DataFrame, measure: str, *, log: bool) -> Within:
    """Of ``measure``, or its logarithm, and ``test_accuracy``, in the runs that have both.

    ``runs``: a row per run with its ``arm`` and ``seed``. Arms of fewer than three such runs, or
    whose measure is the same in all, do not count.
    """
    known = runs[np.isfinite(runs[measure]) & ((runs[measure] > 0) | (not log))]
    values = np.log(known[measure]) if log else known[measure]
    both = known[["arm", "seed"]].assign(x=values, y=known["test_accuracy"])
    grouped = both.groupby("arm", sort=False)
    both = both[(grouped["x"].transform("size") >= SEEDS) & (grouped["x"].transform("std") > 0)]
    return Within(
        both["arm"].nunique(),
        len(both),
        both["seed"].nunique(),
        _correlation(both, ["arm"]),
        _correlation(both, ["arm", "seed"]),
    )


def _correlation(runs: pd.DataFrame, given: list[str]) -> Correlation:
    """Of x and y given some columns, with the jackknife's interval over seeds."""
    r, seeds = _partial(runs, given), runs["seed"].unique()
    if len(seeds) < SEEDS:
        return Correlation(r)
    without = np.array([_partial(runs[runs["seed"] != seed], given) for seed in seeds])
    if not (np.abs([r, *without]) < 1 - 1e-12).all():  # Fisher's transform has no interval there
        return Correlation(r)
    left, k = np.arctanh(without), len(seeds)
    error = sqrt((k - 1) / k * float(((left - left.mean()) ** 2).sum()))
    half = float(stats.t.ppf(1 - ALPHA / 2, k - 1)) * error
    return Correlation(r, tanh(atanh(r) - half), tanh(atanh(r) + half))


def _partial(runs: pd.DataFrame, given: list[str]) -> float:
    """Correlation of what indicators of some columns leave of x and y; NaN where that is none."""
    known = np.hstack([pd.get_dummies(runs[column]).to_numpy(dtype=float) for column in given])
    values = runs[["x", "y"]].to_numpy(dtype=float)
    if len(runs) <= known.shape[1]:
        return NAN
    left = values - known @ np.linalg.lstsq(known, values, rcond=None)[0]
    spread, scale = np.sqrt((left**2).sum(axis=0)), np.sqrt((values**2).sum(axis=0))
    if not (spread > 1e-9 * scale).all():
        return NAN
    return float((left[:, 0] * left[:, 1]).sum() / (spread[0] * spread[1]))
