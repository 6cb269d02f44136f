"""Paired statistics against scipy, enumeration and known values."""

import warnings
from itertools import product

import numpy as np
import pytest
from scipy import stats

from stagewise.analysis.claims.statistics import detectable_effect, holm, paired, sign_flip_p
from stagewise.analysis.claims.wording import number

SIX = np.array([1.2, 0.4, -0.3, 0.9, 1.5, 0.2])


def test_t_test_and_interval_are_scipys() -> None:
    control = np.array([90.0, 91, 92, 93, 94, 95])
    found = paired(SIX)
    reference = stats.ttest_rel(control + SIX, control)
    assert found.p_t == pytest.approx(reference.pvalue)
    half = stats.t.ppf(0.975, 5) * SIX.std(ddof=1) / np.sqrt(6)
    assert (found.low, found.high) == pytest.approx((SIX.mean() - half, SIX.mean() + half))
    assert found.n == 6
    assert found.sd == pytest.approx(SIX.std(ddof=1))


def test_sign_flip_is_the_enumeration() -> None:
    means = [np.mean(SIX * signs) for signs in product([1, -1], repeat=6)]
    expected = np.mean(np.abs(means) >= abs(SIX.mean()) - 1e-12)
    assert sign_flip_p(SIX) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 5, 6, 8])
def test_sign_flip_reaches_its_minimum(n: int) -> None:
    found = paired(np.linspace(1, 2, n))
    assert found.p_sign_flip == pytest.approx(2 / 2**n)
    assert found.p_sign_flip_minimum == pytest.approx(2 / 2**n)


def test_five_seeds_cannot_reach_five_percent_but_six_can() -> None:
    assert paired([1.0, 1.1, 1.2, 1.3, 1.4]).p_sign_flip_minimum > 0.05
    assert paired([1.0, 1.1, 1.2, 1.3, 1.4, 1.5]).p_sign_flip_minimum < 0.05


def test_detectable_effect_has_eighty_percent_power() -> None:
    effect = detectable_effect(6, sd=2.0)
    critical = stats.t.ppf(0.975, 5)
    centre = effect / 2.0 * np.sqrt(6)
    power = stats.nct.sf(critical, 5, centre) + stats.nct.cdf(-critical, 5, centre)
    assert power == pytest.approx(0.8, abs=1e-3)


def test_equivalence() -> None:
    small = np.array([0.01, -0.02, 0.015, 0.0, -0.01, 0.02])
    assert paired(small, margin=0.3).p_equivalence < 0.001
    assert paired(small + 0.4, margin=0.3).p_equivalence > 0.9


def test_degenerate_samples_are_documented_results() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired([]).n == 0
        one = paired([1.5])
        assert one.mean == 1.5
        assert np.isnan(one.p_t)
        none = paired([0.0] * 6)
        assert (none.low, none.high, none.p_t, none.p_sign_flip) == (0, 0, 1, 1)
        equal = paired([0.1 + 0.2 - 0.3 + 1] * 6)
        assert np.isnan(equal.p_t)
        assert equal.p_sign_flip == pytest.approx(2 / 64)


def test_holm_by_hand_and_nan_outside_the_family() -> None:
    adjusted = holm([0.01, float("nan"), 0.04, 0.03])
    assert adjusted[0] == pytest.approx(0.03)
    assert np.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.06)
    assert adjusted[3] == pytest.approx(0.06)
    assert holm([]) == []


@pytest.mark.parametrize(
    ("value", "text"), [(-0.004, "+0.00"), (-1.256, "−1.26"), (0.3, "+0.30"), (0.0, "+0.00")]
)
def test_numbers_have_true_signs(value: float, text: str) -> None:
    assert number(value) == text
