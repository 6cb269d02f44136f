"""The shock and the accuracy, within arms."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.mechanism import sentences, within_arms


def runs(
    arms: int, seeds: int, slope: float, rng: np.random.Generator, shared: float = 0.0
) -> pd.DataFrame:
    """Arms whose means go together perfectly, and runs that do so by ``slope`` within each; a
    seed's classes move both, each on its own, by ``shared`` in all arms alike."""
    arm, seed = np.repeat(np.arange(arms), seeds), np.tile(np.arange(seeds), arms)
    own = rng.normal(size=len(arm)) + shared * rng.normal(size=seeds)[seed]
    other = rng.normal(size=len(arm)) + shared * rng.normal(size=seeds)[seed]
    accuracy = slope * own + other - 10.0 * arm
    measure = np.exp(own + 5.0 * arm)
    names = {"arm": arm.astype(str), "seed": seed}
    return pd.DataFrame({**names, "shock": measure, "test_accuracy": accuracy})


def test_it_is_the_correlation_of_what_arms_do_not_explain() -> None:
    """Residuals of the arms' means; and, beside it, of the seeds' means too."""
    table = runs(4, 6, -0.8, np.random.default_rng(0), shared=2.0)
    x, y = np.log(table["shock"]), table["test_accuracy"]
    found = within_arms(table, "shock", log=True)
    assert (found.arms, found.n, found.seeds) == (4, 24, 6)
    inside = [v - v.groupby(table["arm"]).transform("mean") for v in (x, y)]
    assert found.within.r == pytest.approx(np.corrcoef(*inside)[0, 1])
    both = [v - v.groupby(table["seed"]).transform("mean") for v in inside]
    assert found.beside.r == pytest.approx(np.corrcoef(*both)[0, 1])
    for each in (found.within, found.beside):
        assert each.low < each.r < each.high < 1
    assert within_arms(table, "shock", log=False).within.r != pytest.approx(found.within.r)


def test_its_interval_is_the_jackknifes_over_seeds() -> None:
    table = runs(3, 5, 1.0, np.random.default_rng(5), shared=1.0)
    found = within_arms(table, "shock", log=True).within
    left = [
        np.arctanh(within_arms(table[table["seed"] != seed], "shock", log=True).within.r)
        for seed in range(5)
    ]
    half = 2.776445 * np.sqrt(4 / 5 * np.sum((left - np.mean(left)) ** 2))  # t of 4 degrees
    ends = np.tanh(np.arctanh(found.r) + np.array([-half, half]))
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=1e-6)


@pytest.mark.parametrize("shared", [0.0, 2.0])
@pytest.mark.parametrize(
    ("slope", "true"), [(0.0, 0.0), (1.0, np.sqrt(0.5)), (-1.0, -np.sqrt(0.5))]
)
def test_its_interval_holds_the_truth_in_95_of_100_studies(
    slope: float, true: float, shared: float
) -> None:
    """Though all arms have the same seeds, whose classes make runs go together."""
    rng, studies = np.random.default_rng(1), 600
    tables = [runs(5, 6, slope, rng, shared) for _ in range(studies)]
    found = [within_arms(table, "shock", log=True) for table in tables]
    for kind in ("within", "beside"):
        each = [getattr(one, kind) for one in found]
        held = sum(one.low <= true <= one.high for one in each)
        assert 0.92 * studies <= held <= 0.98 * studies, kind


def test_a_seed_that_makes_both_large_is_told_apart() -> None:
    """Easy classes make both large, though within a seed a larger shock costs accuracy."""
    table = runs(10, 6, -1.0, np.random.default_rng(8))
    ease = np.array([-5.0, -3, -1, 1, 3, 5])[table["seed"]]
    table = table.assign(
        shock=table["shock"] * np.exp(ease), test_accuracy=table["test_accuracy"] + ease
    )
    found = within_arms(table, "shock", log=True)
    assert found.within.low > 0
    assert found.beside.high < 0


def test_arms_that_tell_nothing_do_not_count() -> None:
    table = runs(3, 4, 1.0, np.random.default_rng(2))
    few = table[(table["arm"] != "2") | (table.index < 10)]  # two runs of the last arm
    assert within_arms(few, "shock", log=True).arms == 2
    same = table.assign(shock=table["shock"].where(table["arm"] != "0", 3.0))
    assert within_arms(same, "shock", log=True).arms == 2
    lacking = table.assign(shock=table["shock"].where(table["arm"] != "1"))
    assert (within_arms(lacking, "shock", log=True).arms) == 2
    none = within_arms(table.iloc[:2], "shock", log=True)
    assert (none.arms, none.n, none.within.told, none.within.found) == (0, 0, "–", "")
    alone = within_arms(table.iloc[:3], "shock", log=True)
    assert alone.n == 3
    assert np.isnan(alone.within.low)
    assert np.isnan(alone.beside.r)
    level = table.assign(test_accuracy=50.0)
    assert np.isnan(within_arms(level, "shock", log=True).within.r)


@pytest.mark.parametrize(
    ("slope", "said"),
    [(-1.0, "goes with less"), (1.0, "goes with more"), (0.0, "is not shown to go with")],
)
def test_what_was_found_is_said_in_a_sentence(
    made: Callable[..., Any], slope: float, said: str
) -> None:
    log, other = np.array([1.0, 1, 0, 0, -1, -1]), np.array([1.0, -1, 1, -1, 1, -1])
    logs = {f"two_stage/p.{name}": level + log for level, name in enumerate("abc")}
    accuracy = dict.fromkeys(logs, 50 + slope * log + 0.3 * other)
    results = made(accuracy, shock={"shock_peak": {arm: np.exp(log) for arm, log in logs.items()}})
    shock = results.shock.assign(pair="p", common_rate=[np.nan] * 12 + [0.1] * 6)
    own, common = sentences(replace(results, made_shock=shock), "shock_peak")
    begun = f"Over the seeds of a network, a larger gradient peak {said} accuracy"
    assert own.startswith(f"{begun} (p, at tuned rates: correlation ")
    assert own.endswith("], 12 runs of 2 networks on 6 seeds).")
    assert "(p, at rate 0.1: correlation " in common
