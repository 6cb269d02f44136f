"""The tables of chains and of recovery."""

from dataclasses import replace

import numpy as np
import pytest

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.tables.table import make_table


def test_a_chain_has_its_accuracy_costs_and_fronts(hybrid: Results) -> None:
    table = make_table("chain", hybrid)
    data = table.data.set_index("arm")
    assert [*data.index] == [*dict.fromkeys(data.index)]
    arm, baseline = "recovery/resnet.two_stage.l2-2x.kd", "students/resnet.pretrained"
    rows = hybrid.main[hybrid.main["arm"] == arm]
    mean = paired(rows["test_accuracy"])
    assert data.loc[arm, ["mean", "mean_low", "mean_high"]].tolist() == pytest.approx(
        [mean.mean, mean.low, mean.high]
    )
    wide = hybrid.main.pivot(index="seed", columns="arm", values="test_accuracy")
    assert data.loc[arm, "difference"] == pytest.approx((wide[arm] - wide[baseline]).mean())
    for kind in ("macs", "parameters", "file_bytes"):
        assert data.loc[arm, kind] == rows[kind].mean()
    assert data.loc[arm, "milliseconds"] == pytest.approx(rows["macs"].mean() / 1e6)
    for _, group in data.groupby(["pair", "task"]):
        cheapest = group["macs"] == group["macs"].min()
        best = group.loc[cheapest, "mean"].idxmax()
        assert group.loc[best, "front_macs"], "nothing cheaper is there to equal it"
        on = group[group["front_macs"]].sort_values("macs")
        assert on["mean"].is_monotonic_increasing
    told = table.shown.set_index("Network")["On the front of"]
    assert told["student alone → l2 4× → KD"].startswith("MACs (")
    untimed = make_table("chain", replace(hybrid, latency=None))
    assert {*untimed.shown["Milliseconds"]} == {"not measured"}
    assert not untimed.data["front_milliseconds"].any()


def test_recovery_has_a_row_for_each_shape_and_its_rates(hybrid: Results) -> None:
    table = make_table("recovery", hybrid)
    shapes = [("baseline", 2), ("baseline", 4), ("pretrained", 2), ("two_stage", 2)]
    named = table.data[["chain", "ratio", "family"]].itertuples(index=False, name=None)
    assert [*named] == [(*s, f) for s in shapes for f in ("", "low", "better")]
    wide = hybrid.main.pivot(index="seed", columns="arm", values="test_accuracy")
    row, stem = table.data.iloc[1], "recovery/resnet.baseline"
    assert row["kd_difference"] == pytest.approx(
        (wide[f"{stem}.l2-2x.kd.low"] - wide[f"{stem}.l2-2x.ce.low"]).mean()
    )


def test_the_shock_of_recovery_stands_apart_from_that_of_new_classifiers(hybrid: Results) -> None:
    stem = "recovery/resnet.two_stage.l2-2x"
    arms = [f"{stem}.{name}{rate}" for rate in ("", ".low") for name in ("kd", "two_stage_kd")]
    assert [*hybrid.recovery_shock["arm"].unique()] == arms
    assert not {*hybrid.shock["arm"]} & {*arms}
    table = make_table("recovery_shock", hybrid)
    assert table.shown["Recovery"].tolist() == ["KD", "two-stage KD"] * 2
    assert table.shown["Rate"].str.split(", ").str[1].tolist() == ["own", "own", "low", "low"]
    peaks = hybrid.recovery_shock.pivot(index="seed", columns="arm", values="shock_peak")
    data = table.data.drop_duplicates("arm").set_index("arm")
    for one, two in (arms[:2], arms[2:]):
        ratio = paired(np.log(peaks[two] / peaks[one]))
        shown = data.loc[two, ["peak_ratio", "low", "high"]].tolist()
        assert shown == pytest.approx([ratio.mean, ratio.low, ratio.high])
        assert data.loc[[one], ["peak_ratio", "low", "high"]].isna().all(axis=None)
    assert (
        table.shown["Peak, two stages over one"].str.startswith("×").tolist() == [False, True] * 2
    )
