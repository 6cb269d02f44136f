"""Does our order of methods look like the published one? Spearman's rank correlation of the means.

Its interval is Fisher's with the variance of Bonett & Wright (2000), over methods: what another
draw of such methods could give. The published values' own noise is not known, and not in it.
"""

from dataclasses import dataclass
from math import atanh, sqrt, tanh

import pandas as pd
from scipy import stats

from stagewise.analysis.claims.statistics import ALPHA, NAN

LEAST = 5
"""Methods below which an order says nothing."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's ``rho`` of ``n`` methods and its 95 % interval; NaN where there is none."""

    n: int
    rho: float = NAN
    low: float = NAN
    high: float = NAN


def spearman(ours: pd.Series, theirs: pd.Series) -> Correlation:
    """Of two values of the same methods, in the same order; none of fewer than 5, or of values
    that are all equal."""
    n = len(ours)
    if n < LEAST or ours.nunique() < 2 or theirs.nunique() < 2:
        return Correlation(n)
    rho = float(stats.spearmanr(ours, theirs).statistic)
    if abs(rho) > 1 - 1e-12:  # Fisher's transform has no interval there
        return Correlation(n, rho)
    half = float(stats.norm.ppf(1 - ALPHA / 2)) * sqrt((1 + rho**2 / 2) / (n - 3))
    middle = atanh(rho)
    return Correlation(n, rho, tanh(middle - half), tanh(middle + half))
