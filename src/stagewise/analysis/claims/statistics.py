"""Paired statistics over seeds (science §7.2): scipy and statsmodels do the arithmetic.

Every test is against a null value: 0 for a difference, a threshold's value for a level. Degenerate
samples give stated results instead of warnings:

=======================  =======================================================================
no value                 everything NaN
one value                its mean; sd, interval, p-values and detectable effect NaN
all at the null value    interval of no width there, both p-values 1, detectable effect NaN
all equal, not at it     t interval and p-value NaN (no variation to judge by); sign-flip p stands
=======================  =======================================================================
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests

NAN = float("nan")
ALPHA = 0.05
POWER = 0.8
MARGIN = 0.3
EXACT_FLIPS = 2**16
MOST_SEEDS = 10_000
"""More seeds than these are not looked for."""
FAR = 1e4
"""Standard errors beyond which scipy's tail is not trusted; all is found there."""

Array = NDArray[np.float64]
Values = Sequence[float] | Array | pd.Series


@dataclass(frozen=True)
class Paired:
    """A paired difference over ``n`` seeds, in the unit of the values (for ratios: their natural
    logarithms).

    ``low``/``high``: 95 % t interval. ``p_t``, ``p_sign_flip``: two-sided, against the null value.
    ``p_sign_flip_minimum``: the least p that the sign-flip test can give at this n. ``mde``: the
    distance from the null value found with 80 % power at this n and sd, two-sided 5 %.
    ``p_equivalence``: TOST p for a difference within ± margin of zero; NaN without a margin.
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


def paired(differences: Values, margin: float = MARGIN, null: float = 0.0) -> Paired:
    """Statistics of per-seed differences; see the module's table for degenerate samples."""
    values: Array = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        return Paired(n)
    mean = float(values.mean())
    if n == 1:
        return Paired(n, mean, p_sign_flip=1.0, p_sign_flip_minimum=1.0)
    flips = {
        "p_sign_flip": sign_flip_p(values - null),
        "p_sign_flip_minimum": sign_flip_minimum(n),
    }
    if np.ptp(values) <= 1e-9:  # accuracies are sums of floats: equal up to rounding
        if abs(mean - null) <= 1e-9:
            return Paired(n, null, 0.0, null, null, 1.0, **flips)
        return Paired(n, mean, 0.0, **flips)
    return moments(n, mean, float(values.std(ddof=1)), margin, null, **flips)


def moments(
    n: int, mean: float, sd: float, margin: float = MARGIN, null: float = 0.0, **flips: float
) -> Paired:
    """The same from n > 1, mean and sd (above 0) alone; ``flips``: what the sign flips gave."""
    error = sd / math.sqrt(n)
    half = critical(n, ALPHA) * error
    p_t = 2 * float(special.stdtr(n - 1, -abs(mean - null) / error))
    return Paired(
        n,
        mean,
        sd,
        mean - half,
        mean + half,
        p_t,
        **flips,
        mde=detectable_effect(n, sd),
        p_equivalence=float(special.stdtr(n - 1, (abs(mean) - margin) / error)),
    )


@cache
def critical(n: int, alpha: float) -> float:
    """The two-sided critical value of t at n values."""
    return float(stats.t.ppf(1 - alpha / 2, n - 1))


def ratio_of_means(numerators: Values, denominators: Values) -> Paired:
    """Mean of some values over the mean of others, paired, with Fieller's 95 % interval (Fieller
    1954): the ratios r of which the mean of numerator - r * denominator is not told from 0. No
    ratio where the mean denominator is not positive, and no interval where that is not shown."""
    above, below = (np.asarray(v, dtype=np.float64) for v in (numerators, denominators))
    n = len(above)
    if not n or not np.isfinite([above, below]).all() or not below.mean() > 0:
        return Paired(n)
    ratio = float(above.mean() / below.mean())
    if n == 1:
        return Paired(n, ratio)
    squares = np.cov(above, below) * critical(n, ALPHA) ** 2 / n
    a = float(below.mean() ** 2 - squares[1, 1])
    b = float(above.mean() * below.mean() - squares[0, 1])
    c = float(above.mean() ** 2 - squares[0, 0])
    if a <= 0:
        return Paired(n, ratio)
    half = math.sqrt(max(0.0, b * b - a * c))
    return Paired(n, ratio, low=(b - half) / a, high=(b + half) / a)


def sign_flip_minimum(n: int) -> float:
    """Least two-sided p of the exact sign-flip test: 2 of the 2^n sign patterns."""
    return float(min(1.0, 2.0 / 2**n))


def sign_flip_p(values: Values) -> float:
    """Two-sided sign-flip p of the mean: exact up to 16 values, then 65,536 random flips."""
    given: Array = np.asarray(values, dtype=np.float64)
    if 2 ** len(given) > EXACT_FLIPS:
        return _random_flips_p(given)
    sums = signs(len(given)) @ given
    # Sums that are equal but for the order of their terms must count as equal.
    slack = 1e-12 * float(np.abs(given).sum())
    return float((np.abs(sums) >= abs(float(given.sum())) - slack).mean())


@lru_cache(maxsize=4)
def signs(n: int) -> Array:
    """(2^n, n): every pattern of signs."""
    return np.array(list(product((1.0, -1.0), repeat=n)))


def _random_flips_p(values: Array) -> float:
    result = stats.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXACT_FLIPS,
        rng=np.random.default_rng(0),
    )
    return float(min(1.0, result.pvalue))


def detectable_effect(n: int, sd: float, alpha: float = ALPHA) -> float:
    """Least true distance from the null value that a two-sided paired t-test at level ``alpha``
    finds with 80 % power."""
    return _detectable_size(n, alpha) * sd


@cache
def _detectable_size(n: int, alpha: float) -> float:
    """The same in standard deviations."""
    return float(optimize.brentq(lambda size: _power(n, size, alpha) - POWER, 1e-3, 1e3))


def _power(n: int, size: float, alpha: float) -> float:
    """Power of the two-sided paired t-test at a true effect of ``size`` standard deviations."""
    # What is found by luck on the other side is next to nothing where 80 % are found on this one.
    return _beyond(n, alpha, size * math.sqrt(n))


def _beyond(n: int, alpha: float, shift: float) -> float:
    """Probability that t exceeds its upper critical value, ``shift`` standard errors from null."""
    return float(stats.nct.sf(critical(n, alpha), n - 1, min(shift, FAR)))


def seeds_to_detect(effect: float, sd: float, alpha: float = ALPHA) -> float:
    """Least number of pairs with which a true ``effect`` (not 0) is found with 80 % power; NaN
    where the spread is unknown or more than 10,000 were needed."""
    return _least_seeds(sd, lambda n: _power(n, abs(effect) / sd, alpha))


def seeds_to_equate(sd: float, margin: float = MARGIN) -> float:
    """Least number of pairs with which TOST shows equivalence with 80 % power, if the true
    difference is zero; NaN where the spread is unknown or more than 10,000 were needed."""
    return _least_seeds(sd, lambda n: _equivalence_power(n, margin * math.sqrt(n) / sd))


def _least_seeds(sd: float, power: Callable[[int], float]) -> float:
    """Least n of which ``power``, which grows with it, reaches 80 %."""
    if not sd >= 0:
        return NAN
    if sd == 0:
        return 2
    counts = range(2, MOST_SEEDS)
    place = bisect_left(counts, POWER, key=power)
    return counts[place] if place < len(counts) else NAN


def _equivalence_power(n: int, shift: float) -> float:
    """Power of TOST at no difference; ``shift``: the margin in standard errors."""
    return max(0.0, 2 * _beyond(n, 2 * ALPHA, shift) - 1)


def can_equate(n: int, sd: float, margin: float = MARGIN) -> bool:
    """Whether TOST could show equivalence at this n and sd, were the mean exactly zero."""
    return n > 1 and critical(n, 2 * ALPHA) * sd / math.sqrt(n) < margin


def holm(p_values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Holm-adjusted p-values, and the level at which each is tested: alpha / (m − rank), rank 0 for
    the smallest of the m. NaN stays NaN and does not count in the family."""
    values: Array = np.asarray(p_values, dtype=np.float64)
    adjusted, levels = np.full((2, len(values)), NAN)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    if len(order):
        adjusted[order] = multipletests(values[order], method="holm")[1]
    levels[order] = ALPHA / (len(order) - np.arange(len(order)))
    return [float(p) for p in adjusted], [float(level) for level in levels]
