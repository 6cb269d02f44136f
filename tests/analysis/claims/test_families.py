"""Families of paired differences: what step-down max-T and simultaneous intervals promise."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from stagewise.analysis.claims.families import family, joint_critical, step_down
from stagewise.analysis.claims.statistics import paired, sign_flip_p

Array = NDArray[np.float64]


def drawn(rng: np.random.Generator, n: int, members: int) -> Array:
    """Null differences: methods of unlike spread, less one control of all."""
    own = rng.normal(size=(n, members)) * np.linspace(0.3, 2, members)
    return np.asarray(own - rng.normal(size=(n, 1)))


def t_of(values: Array) -> Array:
    return np.abs(values.mean(0)) / (values.std(0, ddof=1) / np.sqrt(len(values)))


def naive(values: Array) -> Array:
    """Westfall and Young's definition, word by word, with t."""
    n, members = values.shape
    order = sorted(range(members), key=lambda j: -t_of(values)[j])
    adjusted, before = np.empty(members), 0.0
    for place, member in enumerate(order):
        count = 0
        for pattern in product((1, -1), repeat=n):
            flipped = values * np.array(pattern)[:, None]
            largest = max(t_of(flipped)[other] for other in order[place:])
            count += bool(largest >= t_of(values)[member] * (1 - 1e-9))
        before = max(before, count / 2**n)
        adjusted[member] = before
    return adjusted


@pytest.mark.parametrize("seed", range(3))
def test_step_down_is_what_its_definition_enumerates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = drawn(rng, 5, 4) + np.array([3.0, 0, 1, 0])
    assert step_down(values) == pytest.approx(naive(values), abs=1e-12)


@pytest.mark.parametrize("n", [2, 6, 13])
def test_a_single_member_is_judged_by_its_own_sign_flips(n: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.5, 2.0):
        values = rng.normal(shift, 1, (n, 1))
        assert step_down(values)[0] == pytest.approx(sign_flip_p(values[:, 0]))


def test_adjusted_values_never_fall_below_plain_ones_nor_down_the_order() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = np.round(drawn(rng, 6, 9) + rng.normal(0, 1, 9), 1)  # with ties
        adjusted = step_down(values)
        plain = np.array([sign_flip_p(column) for column in values.T])
        assert (adjusted >= plain - 1e-12).all()
        assert (np.diff(adjusted[np.argsort(-t_of(values), kind="stable")]) >= -1e-12).all()


def test_the_least_value_does_not_grow_with_the_family() -> None:
    rng = np.random.default_rng(0)
    values = drawn(rng, 6, 40)
    values[:, 7] = 5 + 0.01 * rng.normal(size=6)
    assert step_down(values)[7] == 2 / 2**6
    assert family(pd.DataFrame(values)).loc[7, "p_minimum"] == 2 / 2**6


def test_many_seeds_are_flipped_at_random() -> None:
    values = np.random.default_rng(1).normal(0.15, 1, (18, 1))
    every = np.array(list(product((1.0, -1.0), repeat=17))) @ values[1:] + values[0]
    exact = (np.abs(every) >= abs(values.sum()) - 1e-9).mean()
    assert 0.02 < exact < 0.5
    assert step_down(values)[0] == pytest.approx(exact, abs=0.01)
    assert step_down(values + 9)[0] == pytest.approx(1 / 2**16)


def test_members_without_variation_have_stated_results() -> None:
    rng = np.random.default_rng(2)
    values = np.column_stack([np.zeros(6), np.full(6, 1.5), rng.normal(size=6)])
    found = family(pd.DataFrame(values, columns=["none", "same", "usual"]))
    assert found["p_adjusted"].isna().sum() == 0
    assert found.loc["none", ["mean", "p_adjusted"]].tolist() == [0, 1]
    assert found.loc["same", ["mean", "sd", "p_adjusted"]].tolist() == [1.5, 0, 2 / 64]
    assert found.loc[["none", "same"], ["low", "high"]].isna().all(axis=None)
    assert np.isfinite(found.loc["usual", ["low", "high"]].astype(float)).all()


def test_few_seeds_or_members_give_no_error() -> None:
    assert step_down(np.empty((6, 0))).shape == (0,)
    assert list(family(pd.DataFrame(index=range(6))).index) == []
    one = family(pd.DataFrame({"a": [2.0]}))
    assert one.loc["a", ["n", "mean", "p_adjusted"]].tolist() == [1, 2, 1]
    assert one[["sd", "low", "high"]].isna().all(axis=None)


def test_a_single_members_interval_is_the_usual_one() -> None:
    values = np.random.default_rng(3).normal(size=6)
    alone, usual = family(pd.DataFrame({"a": values})).loc["a"], paired(values)
    assert (alone["low"], alone["high"]) == pytest.approx((usual.low, usual.high))
    assert joint_critical(6, 20) > joint_critical(6, 2) > joint_critical(6, 1)


@pytest.mark.parametrize(("n", "members"), [(6, 3), (6, 20), (10, 8)])
def test_of_a_hundred_families_five_err(n: int, members: int) -> None:
    """Any false member, by p or by interval, makes a family false."""
    studies, by_p, by_interval = 300, 0, 0
    rng = np.random.default_rng([n, members])
    for _ in range(studies):
        values = drawn(rng, n, members)
        by_p += bool(step_down(values).min() <= 0.05)
        by_interval += bool(t_of(values).max() > joint_critical(n, members))
    most = stats.binom.ppf(0.999, studies, 0.05)
    assert 0 < by_p <= most
    assert 0 < by_interval <= most
