"""The shock and the accuracy, within arms."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.mechanism import Within, sentences, within_arms


def runs(arms: int, seeds: int, slope: float, rng: np.random.Generator) -> pd.DataFrame:
    """Arms whose means go together perfectly, and runs that do so by ``slope`` within each."""
    arm = np.repeat(np.arange(arms), seeds)
    own = rng.normal(size=len(arm))
    accuracy = slope * own + rng.normal(size=len(arm)) - 10.0 * arm
    measure = np.exp(own + 5.0 * arm)
    return pd.DataFrame({"arm": arm.astype(str), "shock": measure, "test_accuracy": accuracy})


def test_it_is_the_correlation_of_what_arms_do_not_explain() -> None:
    """Residuals of least squares on indicators of the arms."""
    table = runs(4, 6, -0.8, np.random.default_rng(0))
    arms = pd.get_dummies(table["arm"]).to_numpy(dtype=float)
    x, y = np.log(table["shock"]), table["test_accuracy"]
    left = [v - arms @ np.linalg.lstsq(arms, v, rcond=None)[0] for v in (x, y)]
    found = within_arms(table, "shock", log=True)
    assert (found.arms, found.n) == (4, 24)
    assert found.r == pytest.approx(np.corrcoef(*left)[0, 1])
    assert found.low < found.r < found.high < 1
    assert within_arms(table, "shock", log=False).r != pytest.approx(found.r)


@pytest.mark.parametrize(
    ("slope", "true"), [(0.0, 0.0), (1.0, np.sqrt(0.5)), (-1.0, -np.sqrt(0.5))]
)
def test_its_interval_holds_the_truth_in_95_of_100_studies(slope: float, true: float) -> None:
    rng, studies = np.random.default_rng(1), 600
    found = [within_arms(runs(5, 6, slope, rng), "shock", log=True) for _ in range(studies)]
    held = sum(each.low <= true <= each.high for each in found)
    assert 0.92 * studies <= held <= 0.98 * studies


def test_arms_that_tell_nothing_do_not_count() -> None:
    table = runs(3, 4, 1.0, np.random.default_rng(2))
    few = table[(table["arm"] != "2") | (table.index < 10)]  # two runs of the last arm
    assert within_arms(few, "shock", log=True).arms == 2
    same = table.assign(shock=table["shock"].where(table["arm"] != "0", 3.0))
    assert within_arms(same, "shock", log=True).arms == 2
    lacking = table.assign(shock=table["shock"].where(table["arm"] != "1"))
    assert (within_arms(lacking, "shock", log=True).arms) == 2
    assert within_arms(table.iloc[:2], "shock", log=True) == Within(0, 0)
    alone = within_arms(table.iloc[:3], "shock", log=True)
    assert alone.n == 3
    assert np.isnan(alone.low)
    level = table.assign(test_accuracy=50.0)
    assert np.isnan(within_arms(level, "shock", log=True).r)


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
    assert own.endswith("], 12 runs of 2 networks).")
    assert "(p, at rate 0.1: correlation " in common
