"""Which networks of a table are the best, or not shown to be worse."""

from collections.abc import Iterable

import pandas as pd

from stagewise.analysis.claims.families import family
from stagewise.analysis.claims.rules import MIN_SEEDS
from stagewise.analysis.claims.statistics import ALPHA

GIVEN = ("teachers", "pretraining")
"""Steps whose networks are given, not to be chosen."""


def best_arms(groups: Iterable[pd.DataFrame]) -> frozenset[str]:
    """Of each group of rows (arm, step, seed, test_accuracy) the arm of the best mean, and those
    whose difference to it is not shown: p of the family of these differences above 0.05. With fewer
    than 6 seeds nothing can be told apart, and the best mean stands alone. A group of one arm has
    no best."""
    found: set[str] = set()
    for rows in groups:
        wide = rows[~rows["step"].isin(GIVEN)].pivot_table(
            index="seed", columns="arm", values="test_accuracy", sort=False
        )
        if wide.shape[1] < 2:
            continue
        best = str(wide.mean().idxmax())
        found.add(best)
        whole = wide.dropna(subset=[best]).dropna(axis=1)
        others = whole.drop(columns=best)
        if len(whole) >= MIN_SEEDS and others.shape[1]:
            tests = family(others.sub(whole[best], axis=0))
            found |= {str(arm) for arm in tests.index[tests["p_adjusted"] > ALPHA]}
    return frozenset(found)
