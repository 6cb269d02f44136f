"""The quantities of the gradient shock, by hand; old logs have fewer, and say so."""

import math

import pandas as pd
import pytest

from stagewise.analysis.records.shock import MEASURES, shock_measures


def made() -> pd.DataFrame:
    """A log of both kinds of statistics."""
    log = pd.DataFrame({"step": [0, 1, 10, 20, 21, 50, 89, 90, 95, 100]})
    log["g_backbone_batch"] = [1.0, 2, 6, 3, 50, 9, 9, 1, 2, 3]
    log["g_backbone"] = [4.0, 2, 6, 40, 90, 9, 9, 1, 2, 3]
    log["update"] = [0.1, 0.2, 0.8, 0.3, 7, 7, 7, 0.2, 0.1, None]
    log["probe_accuracy_batch"] = [80.0, 60, 77, None, None, 81, None, None, None, 79.5]
    log["probe_accuracy"] = [80.0, 60, 70, None, None, None, None, None, None, 82]
    log["displacement"] = [0.0, 0.1, *[None] * 7, 0.4]
    log["cka_stage1"] = log["cka_stage1_batch"] = 0.9
    log["cka_stage2"], log["cka_stage2_batch"] = 0.5, 0.7
    return log


def test_shock_measures_by_hand() -> None:
    found = shock_measures(made())
    assert found["shock_start"] == pytest.approx(1 / 2)
    assert (found["shock_peak"], found["peak_step"]) == (pytest.approx(6 / 2), 10)
    assert found["update_peak"] == pytest.approx(0.8 / 0.15)
    falls = [found[f"probe_fall_{step}"] for step in (10, 50, 100)]
    assert falls == pytest.approx([3, -1, 0.5])
    assert found["displacement"] == pytest.approx(0.4)
    assert found["similarity"] == pytest.approx(0.7)


def test_the_same_under_running_statistics() -> None:
    found = shock_measures(made())
    assert found["shock_start_running"] == pytest.approx(4 / 2)
    assert found["shock_peak_running"] == pytest.approx(40 / 2)
    assert found["peak_step_running"] == 20
    assert found["probe_fall_10_running"] == pytest.approx(10)
    assert math.isnan(found["probe_fall_50_running"])  # that very step was not logged
    assert found["probe_fall_100_running"] == pytest.approx(-2)
    assert found["similarity_running"] == pytest.approx(0.5)


def test_late_is_the_last_tenth_of_the_first_epoch() -> None:
    log = pd.DataFrame({"step": [0, 95, 180, 190, 200], "g_backbone_batch": [8.0, 1, 2, 4, 9]})
    assert shock_measures(log, 200)["shock_start"] == pytest.approx(8 / 4)
    assert shock_measures(log)["shock_start"] == pytest.approx(8 / 1)


def test_late_ends_where_a_next_phase_begins() -> None:
    """That may be a shock of its own, as where batch norm is no longer frozen."""
    log = made().assign(phase=["still"] * 8 + ["train"] * 2)
    found = shock_measures(log)
    assert found["shock_start"] == pytest.approx(1 / 1)
    assert found["shock_peak"] == pytest.approx(6 / 1)
    assert found["update_peak"] == pytest.approx(0.8 / 0.2)
    same = shock_measures(made().assign(phase="train"))
    assert same == pytest.approx(shock_measures(made()), nan_ok=True)
    earlier = made().assign(phase=["still"] * 5 + ["train"] * 5)
    assert shock_measures(earlier)["shock_peak"] == shock_measures(made())["shock_peak"]


def test_every_measure_has_a_name_and_a_unit() -> None:
    assert shock_measures(made()).keys() == MEASURES.keys()
    assert {measure.unit for measure in MEASURES.values()} == {
        "ratio",
        "points",
        "relative",
        "steps",
    }
    assert len({measure.name for measure in MEASURES.values()}) == len(MEASURES)


FALLS = {"probe_fall_10", "probe_fall_50", "probe_fall_100"}
LOST = {
    "g_backbone_batch": {"shock_start", "shock_peak", "peak_step"},
    "g_backbone": {"shock_start_running", "shock_peak_running", "peak_step_running"},
    "update": {"update_peak"},
    "probe_accuracy_batch": FALLS,
    "probe_accuracy": {f"{fall}_running" for fall in FALLS},
    "displacement": {"displacement"},
    "cka_stage1": set(),  # not the deepest
}


@pytest.mark.parametrize("missing", LOST)
def test_a_log_that_lacks_a_column_lacks_its_measures_alone(missing: str) -> None:
    found = shock_measures(made().drop(columns=[missing]))
    assert found.keys() == MEASURES.keys()
    unknown = {name for name, value in found.items() if math.isnan(value)}
    assert unknown | {"probe_fall_50_running"} == LOST[missing] | {"probe_fall_50_running"}


def test_an_empty_or_strange_log_has_no_measure_and_raises_nothing() -> None:
    for log in (made().iloc[:0], made().assign(g_backbone_batch="x"), made().iloc[:1]):
        assert math.isnan(shock_measures(log)["shock_peak"])
    twice = pd.concat([made(), made()])
    assert shock_measures(twice)["shock_start"] == pytest.approx(1 / 2)


def test_a_log_of_before_batch_statistics_has_the_running_measures() -> None:
    """Step 50 has no row under running statistics."""
    whole = shock_measures(made())
    log = made().drop(columns="update").filter(regex="(?<!_batch)$")
    found = shock_measures(log)
    new = {name for name in MEASURES if not name.endswith("_running")} - {"displacement"}
    unknown = {name for name, value in found.items() if math.isnan(value)}
    assert unknown == new | {"probe_fall_50_running"}
    assert all(found[name] == whole[name] for name in found.keys() - unknown)
