"""Two studies count as equal where the evidence says so, and only there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import ttost_paired

from stagewise.analysis.claims.equivalence import ALL_ARMS, compare, seeds_needed
from stagewise.errors import UserError


def summary(
    shift: float = 0.0, noise: float = 0.4, seeds: int = 6, device: str = "cpu"
) -> pd.DataFrame:
    rng = np.random.default_rng(round(1000 * (shift + noise)) + seeds)
    rows = [
        {
            "path": f"runs/x/students/{arm}/seed-{seed}",
            "arm": f"students/{arm}",
            "pair": "resnet",
            "seed": seed,
            "exit": "final",
            "test_accuracy": 90 + seed + shift + noise * rng.normal(),
            "validation_accuracy": 90.0,
            "device": device,
            "epochs": 5,
        }
        for arm in ("one", "two", "three")
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_equal_studies_are_equivalent_and_shifted_ones_are_not() -> None:
    first = summary(noise=0.0)
    assert set(compare(first, summary(), 1.0)["verdict"]) == {"equivalent"}
    assert set(compare(first, summary(shift=1.8), 1.0)["verdict"]) == {"not shown"}
    assert set(compare(first, first, 1.0)["verdict"]) == {"equivalent"}
    assert set(compare(first, summary(shift=2.0, noise=0.0), 1.0)["verdict"]) == {"not shown"}


def test_numbers_are_those_of_statsmodels() -> None:
    first, second = summary(noise=0.0), summary(shift=0.2)
    table = compare(first, second, 1.0).set_index("arm")
    one = [part[part["arm"] == "students/one"]["test_accuracy"] for part in (second, first)]
    p, *_ = ttost_paired(*one, -1.0, 1.0)
    assert table.loc["students/one", "p_equivalence"] == pytest.approx(p)
    mean = table.loc[[f"students/{arm}" for arm in ("one", "two", "three")], "mean"].mean()
    assert table.loc[ALL_ARMS, "mean"] == pytest.approx(mean)
    half = table["high"] - table["mean"]
    assert (table["mean"] - half).to_numpy() == pytest.approx(table["low"].to_numpy())


@pytest.mark.parametrize(("sd", "margin"), [(0.8, 1.0), (0.5, 0.3)])
def test_the_seeds_needed_give_that_power(sd: float, margin: float) -> None:
    n = int(seeds_needed(sd, margin))
    rng = np.random.default_rng(0)

    def power(count: int) -> float:
        draws = rng.normal(0, sd, (4000, count))
        mean, error = draws.mean(1), draws.std(1, ddof=1) / np.sqrt(count)
        from scipy.stats import t

        return float((np.abs(mean) + t.ppf(0.95, count - 1) * error < margin).mean())

    assert 0.78 < power(n) < 0.9
    assert power(n - 1) < 0.8
    assert np.isnan(seeds_needed(float("nan"), margin))
    assert np.isnan(seeds_needed(1000.0, 0.01))


def test_a_tight_margin_needs_records_from_gpus() -> None:
    with pytest.raises(UserError, match=r"equivalence\.margin: 0\.3 points need records from GPUs"):
        compare(summary(), summary(), 0.3)
    cuda = [summary(noise=noise, device="cuda") for noise in (0.0, 0.05)]
    assert set(compare(*cuda, 0.3)["verdict"]) == {"equivalent"}


def test_one_seed_decides_nothing() -> None:
    table = compare(summary(seeds=1), summary(seeds=1, noise=0.0), 1.0)
    assert set(table[table["arm"] != ALL_ARMS]["verdict"]) == {"one seed"}


def test_studies_without_a_common_arm_are_refused() -> None:
    other = summary().assign(seed=summary()["seed"] + 100)
    with pytest.raises(UserError, match="share no arm and seed"):
        compare(summary(), other, 1.0)


def test_the_script_writes_both_files(run_script: Callable[..., None], tmp_path: Path) -> None:
    for name, part in (("a", summary(noise=0.0)), ("b", summary())):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    run_script(
        tmp_path,
        "equivalence",
        *("--first", "a.csv", "--second", "b.csv", "--margin", "1", "--out", "out.csv"),
    )
    text = (tmp_path / "out.md").read_text()
    assert text.count("| equivalent |") == len(pd.read_csv(tmp_path / "out.csv")) == 4
