"""Many paired differences over the same seeds, judged as one family.

p-values are adjusted by the step-down max-T procedure (Westfall & Young 1993; Romano & Wolf 2005).
Under the null hypothesis a seed's differences are as likely with all their signs turned, so the
signs of whole seeds are flipped, and the dependence between members is kept. Their least value at
n seeds is 2/2^n, however many members there are.

Intervals are t intervals at Šidák's level, which hold together for normal differences whatever
their correlation (Šidák 1967). The critical value of the flipped, centred differences was tried in
their place (6 to 12 seeds, 1 to 20 members): it covers 93 to 97 % where these cover 94 to 98, and
is up to a tenth shorter, but at 6 seeds it is one of 32 numbers, and another one in each study.
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np
import pandas as pd

from stagewise.analysis.claims.statistics import (
    ALPHA,
    EXACT_FLIPS,
    NAN,
    Array,
    critical,
    sign_flip_minimum,
    sign_flip_p,
    signs,
)

CHUNK = 4096
"""Sign patterns that are looked at together."""
SLACK = 1e-9
"""Statistics that are equal but for rounding count as equal."""


def step_down(differences: Array) -> Array:
    """Adjusted two-sided p of the mean of each column of (n seeds, k members).

    The statistic is the mean over the root of the mean square, which grows with |t| but stays
    finite: where a column's values are all equal it is 1, where they are all 0 it is 0 and p is 1.
    Exact up to 16 seeds, then the given signs and 65,535 random ones.
    """
    n, members = differences.shape
    if not (n and members):
        return np.full(members, NAN)
    observed = _statistics(np.ones((1, n)), differences)[0]
    order = np.argsort(-observed, kind="stable")
    ranked, exceeded, patterns = observed[order], np.zeros(members), 0
    for flips in _flips(n):
        flipped = _statistics(flips, differences[:, order])
        # The largest of a member and of all that are less extreme.
        largest = np.maximum.accumulate(flipped[:, ::-1], axis=1)[:, ::-1]
        exceeded += (largest >= ranked - SLACK).sum(axis=0)
        patterns += len(flips)
    adjusted = np.empty(members)
    adjusted[order] = np.maximum.accumulate(exceeded / patterns)
    return adjusted


def _statistics(flips: Array, differences: Array) -> Array:
    """(patterns, k): each member's statistic under each pattern of signs."""
    n = len(differences)
    scale = np.sqrt(n * (differences**2).sum(axis=0))
    sums = np.abs(flips @ differences)
    found: Array = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > SLACK)
    return found


def _flips(n: int) -> Iterator[Array]:
    """Patterns of signs (.., n), the given one among them; all of them where they are few."""
    if 2**n <= EXACT_FLIPS:
        every = signs(n)
        yield from (every[start : start + CHUNK] for start in range(0, len(every), CHUNK))
        return
    rng = np.random.default_rng(0)
    for start in range(0, EXACT_FLIPS, CHUNK):
        flips = rng.choice((-1.0, 1.0), size=(CHUNK, n))
        if start == 0:
            flips[0] = 1
        yield flips


def joint_critical(n: int, members: int) -> float:
    """Critical value of |t| at n values with which so many 95 % intervals hold together."""
    return critical(n, 1 - (1 - ALPHA) ** (1 / members))


def family(differences: pd.DataFrame) -> pd.DataFrame:
    """A row per column of ``differences``, which has a row per seed and no gaps.

    Columns: n, members (of the family), mean, sd, low, high (simultaneous 95 % interval; NaN where
    there is no variation to judge by), p (sign flips of this member alone), p_adjusted, p_minimum.
    """
    values = differences.to_numpy(dtype=np.float64)
    n, members = values.shape
    adjusted = step_down(values)
    rows = []
    for number in range(members):
        column = values[:, number]
        varies = n > 1 and bool(np.ptp(column) > SLACK)
        sd = float(column.std(ddof=1)) if n > 1 else NAN
        half = joint_critical(n, members) * sd / sqrt(n) if varies else NAN
        mean = float(column.mean())
        rows.append(
            {
                "n": n,
                "members": members,
                "mean": mean,
                "sd": sd,
                "low": mean - half,
                "high": mean + half,
                "p": sign_flip_p(column),
                "p_adjusted": float(adjusted[number]),
                "p_minimum": sign_flip_minimum(n),
            }
        )
    return pd.DataFrame(rows, index=differences.columns, columns=COLUMNS)


COLUMNS = ["n", "members", "mean", "sd", "low", "high", "p", "p_adjusted", "p_minimum"]
