"""No rule says too often what is false: the benchmark's studies, fewer of them."""

import gc
import importlib
from collections import defaultdict
from collections.abc import Iterator

import pytest
from helpers import ROOT
from scipy import stats

STUDIES, SEEDS = 50, 6
NOMINAL = 0.05
"""Rate of false verdicts that a rule may have."""


@pytest.fixture
def little_garbage() -> Iterator[None]:
    """Statsmodels collects garbage at every call, else through all that earlier tests left."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("little_garbage")
def test_no_rule_gives_more_false_verdicts_than_nominal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    verdicts = importlib.import_module("verdicts")
    false, drawn = defaultdict(float), defaultdict(int)
    for scenario in verdicts.scenarios():
        if scenario.wrong:
            outcome = verdicts.measure(scenario, SEEDS, STUDIES)
            false[scenario.rule] += outcome.false * STUDIES
            drawn[scenario.rule] += STUDIES
    assert {"difference", "above", "halved", "below"} <= set(false)
    for rule, count in false.items():
        # As many as throws at 5 percent exceed in one of a thousand cases only.
        assert count <= stats.binom.ppf(0.999, drawn[rule], NOMINAL), rule
    assert sum(false.values()) > 0, "studies of which nothing can come test nothing"
