"""The table of Grad-CAM maps, recomputed from ``gradcam.csv``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.gradcam import read_gradcam
from stagewise.analysis.tables.table import Table, make_table
from stagewise.errors import UserError

Make = Callable[..., Results]
OTO = "multi_exit/resnet.oto"


@pytest.fixture
def table(results: Results) -> Table:
    return make_table("gradcam", results)


def seeds_of(maps: pd.DataFrame, arm: str, exit: str) -> pd.DataFrame:
    return maps[(maps["arm"] == arm) & (maps["exit"] == exit)].set_index("seed")


def test_a_row_per_arm_and_exit_with_maps_that_are_large_enough(table: Table) -> None:
    rows = table.data[["arm", "exit"]].apply(tuple, axis=1).tolist()
    arms = [f"multi_exit/resnet.{name}" for name in ("ce", "mskd", "oto")]
    assert rows == [(arm, exit) for arm in arms for exit in ("1", "2")]
    assert "pixels have too few places" in table.caption
    assert "exit final (4×4), 3 (4×4)." in table.caption


def test_means_intervals_and_differences_by_hand(results: Results, table: Table) -> None:
    maps = results.gradcam
    assert maps is not None
    for exit in ("1", "2"):
        own, untaught = seeds_of(maps, OTO, exit), seeds_of(maps, "multi_exit/resnet.ce", exit)
        row = table.data.set_index(["arm", "exit"]).loc[(OTO, exit)]
        assert row["n"] == 6
        assert row["spearman_mean"] == pytest.approx(own["spearman"].mean())
        half = stats.t.ppf(0.975, 5) * own["spearman"].std() / np.sqrt(6)
        assert row["spearman_high"] - row["spearman_mean"] == pytest.approx(half)
        assert row["overlap_mean"] == pytest.approx(own["overlap"].mean())
        difference = own["spearman"] - untaught["spearman"]
        assert row["difference"] == pytest.approx(difference.mean())
        half = stats.t.ppf(0.975, 5) * difference.std() / np.sqrt(6)
        assert row["difference"] - row["low"] == pytest.approx(half)
        cost = results.summary.query("arm == @OTO and exit == @exit")
        assert row["macs"] == cost["macs"].iloc[0]
    assert table.data.set_index("arm").loc["multi_exit/resnet.ce", "difference"].isna().all()


def test_maps_beside_another_teachers_are_not_set_against_each_other(results: Results) -> None:
    maps = results.gradcam
    assert maps is not None
    moved = maps.assign(teacher=maps["teacher"].where(maps["arm"] != OTO, "elsewhere"))
    data = make_table("gradcam", replace(results, gradcam=moved)).data.set_index("arm")
    assert data.loc[OTO, "difference"].isna().all()
    assert data.loc["multi_exit/resnet.mskd", "difference"].notna().all()


def test_students_without_exits_are_set_against_the_student_alone(
    make_results: Make, gradcam_writer: Callable[..., Path], tmp_path: Path
) -> None:
    results = make_results(seeds=(0, 1))
    file = gradcam_writer(tmp_path, results.study.config, side=32)
    results = replace(results, gradcam=read_gradcam(file, results.study.runs))
    table = make_table("gradcam", results)
    data = table.data[table.data["exit"] == "final"].set_index("arm")
    assert [*data.index] == ["students/resnet.baseline", "distillation/resnet.kd"]
    assert data["difference"].isna().tolist() == [True, False]
    assert "Left out" not in table.caption


def test_a_study_without_maps_says_so(results: Results) -> None:
    for maps in (None, results.gradcam):
        none = None if maps is None else maps.assign(images=0, spearman=np.nan, overlap=np.nan)
        table = make_table("gradcam", replace(results, gradcam=none))
        assert table.shown.empty
        assert table.data.empty
        assert "compared no maps" in table.empty


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": "runs/toy/elsewhere"}, "is no run of the plan"),
        ({"spearman": "much"}, "column 'spearman' holds"),
        ({"exit": "x"}, "column 'exit' holds"),
    ],
)
def test_a_file_that_is_not_the_plans_is_named(
    results: Results, published: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    file = tmp_path / "gradcam.csv"
    table = pd.read_csv(published / "gradcam.csv")[:3]
    table.iloc[:2].assign(**change).drop_duplicates("path").to_csv(file, index=False)
    with pytest.raises(UserError, match=said):
        read_gradcam(file, results.study.runs)
