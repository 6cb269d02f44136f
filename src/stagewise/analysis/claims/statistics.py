"""Paired statistics over seeds (science §7.2): scipy and statsmodels do the arithmetic.

Degenerate samples give stated results instead of warnings:

====================  ==========================================================================
no value              everything NaN
one value             its mean; sd, interval, p-values and detectable effect NaN
all values zero       interval [0, 0], both p-values 1, detectable effect NaN
all equal, not zero   t interval and p-value NaN (no variation to judge by); sign-flip p stands
====================  ==========================================================================
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

NAN = float("nan")
ALPHA = 0.05
EXACT_FLIPS = 2**16

Values = Sequence[float] | NDArray[np.float64] | pd.Series


@dataclass(frozen=True)
class Paired:
    """A paired difference over ``n`` seeds, in the unit of the values.

    ``low``/``high``: 95 % t interval. ``p_sign_flip_minimum``: the least p that the sign-flip test
    can give at this n. ``mde``: the effect found with 80 % power at this n and sd, two-sided 5 %.
    ``p_equivalence``: TOST p for a difference within ± margin.
    """

    n: int
    mean: float = NAN
    sd: float = NAN
    low: float = NAN
    high: float = NAN
    p_t: float = NAN
    p_sign_flip: float = NAN
    p_sign_flip_minimum: float = NAN
    mde: float = NAN
    p_equivalence: float = NAN

    def columns(self) -> dict[str, float]:
        """Field name to value, for a table row."""
        return asdict(self)


def paired(differences: Values, margin: float = 0.3) -> Paired:
    """Statistics of per-seed differences; see the module's table for degenerate samples."""
    values: NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        return Paired(n)
    mean = float(values.mean())
    if n == 1:
        return Paired(n, mean, p_sign_flip=1.0, p_sign_flip_minimum=1.0)
    flips = {"p_sign_flip": sign_flip_p(values), "p_sign_flip_minimum": sign_flip_minimum(n)}
    if np.ptp(values) <= 1e-9:  # accuracies are sums of floats: equal up to rounding
        if abs(mean) <= 1e-9:
            return Paired(n, 0.0, 0.0, 0.0, 0.0, 1.0, **flips)
        return Paired(n, mean, 0.0, **flips)
    sd = float(values.std(ddof=1))
    test = stats.ttest_1samp(values, 0.0)
    interval = test.confidence_interval(1 - ALPHA)
    return Paired(
        n,
        mean,
        sd,
        float(interval.low),
        float(interval.high),
        float(test.pvalue),
        **flips,
        mde=detectable_effect(n, sd),
        p_equivalence=equivalence_p(values, margin),
    )


def sign_flip_minimum(n: int) -> float:
    """Least two-sided p of the exact sign-flip test: 2 of the 2^n sign patterns."""
    return float(min(1.0, 2.0 / 2**n))


def sign_flip_p(values: Values) -> float:
    """Two-sided sign-flip p of the mean: exact up to 16 values, then 65,536 random flips."""
    result = stats.permutation_test(
        (np.asarray(values, dtype=np.float64),),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT_FLIPS,
        rng=np.random.default_rng(0),
    )
    return float(min(1.0, result.pvalue))


def detectable_effect(n: int, sd: float, power: float = 0.8) -> float:
    """Least true mean difference that a two-sided 5 % paired t-test finds with this power."""
    return _detectable_size(n, power) * sd


@cache
def _detectable_size(n: int, power: float) -> float:
    """The same in standard deviations."""
    size = TTestPower().solve_power(nobs=n, alpha=ALPHA, power=power, alternative="two-sided")
    return float(np.squeeze(size))


def equivalence_p(values: NDArray[np.float64], margin: float) -> float:
    """TOST p: the larger of the one-sided p-values against -margin and +margin."""
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    return float(max(above, below))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm-adjusted p-values; NaN stays NaN and does not count in the family."""
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(values), NAN)
    known = np.isfinite(values)
    if known.any():
        adjusted[known] = multipletests(values[known], alpha=ALPHA, method="holm")[1]
    return [float(p) for p in adjusted]
