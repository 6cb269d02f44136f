"""Tables: what they recompute, what they must show, and their files."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.files import markdown, write_tables
from stagewise.analysis.tables.table import make_table, make_tables

Make = Callable[..., Results]
TINY = {"pruning": [], "two_stage": {"pairs": []}, "multi_exit": {}, "seeds": (0,)}
CONFIG_VGG = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}


def test_tables_recompute_their_differences(results: Results) -> None:
    table = make_table("accuracy", results).data.set_index("arm")
    wide = results.summary[results.summary["exit"] == "final"].pivot(
        index="seed", columns="arm", values="test_accuracy"
    )
    arm, baseline = "distillation/vgg.kd", "students/vgg.baseline"
    assert table.loc[arm, "baseline"] == baseline
    assert table.loc[arm, "difference"] == pytest.approx((wide[arm] - wide[baseline]).mean())
    assert table.loc[arm, "mean"] - table.loc[baseline, "mean"] == pytest.approx(
        table.loc[arm, "difference"]
    )
    target = "two_stage/resnet.kd"
    assert table.loc[target, "baseline"] == "students/resnet.pretrained"
    pruned = make_table("pruning", results).data
    hybrid = pruned[(pruned["chain"] == "two_stage") & (pruned["recovery"] == "two_stage_kd")]
    assert hybrid["macs_ratio_to_teacher"].iloc[0] == pytest.approx(8)
    dense = wide["two_stage/resnet.kd"]
    assert hybrid["difference"].iloc[0] == pytest.approx(
        (wide[hybrid["arm"].iloc[0]] - dense).mean()
    )


def test_tables_bear_the_names_of_their_files(results: Results) -> None:
    names = ["accuracy", "published", "pruning", "exits", "shock", "quality", "latency"]
    assert [table.name for table in make_tables(results)] == list(catalogue.tables()) == names


def test_tables_on_disk(published: Path) -> None:
    names = {path.name for path in (published / "tables").iterdir()}
    files = {f"{name}.{end}" for name in catalogue.tables() for end in ("csv", "md", "tex")}
    assert names == files | {"study.md", "study.tex"}
    text = (published / "tables/study.md").read_text()
    assert "in every pair: passed" in text
    assert "made on validation images" in text


def test_every_result_shows_spread_difference_loss_and_costs(results: Results) -> None:
    latency = pd.DataFrame({"arm": ["students/vgg.baseline"], "batch": [1], "milliseconds": [0.5]})
    results = replace(results, latency=latency)
    for name in catalogue.tables().keys() - {"published"}:  # digits have none
        shown = make_table(name, results).shown
        assert shown[["Parameters", "MACs"]].map(lambda text: text[0].isdigit()).all(axis=None)
        if name != "latency":  # one network of each arm, alone
            text = " ".join(shown.astype(str).to_numpy().ravel())
            assert re.search(r"\d ± \d.* \(6\)", text)
            assert re.search(r"[+−]\d.* \[[+−]\d.*, [+−]\d", text)
            assert {"ce 1", "ce 0.1, kd 0.9"} <= set(shown["Loss"])


def test_weights_tell_a_method_from_the_same_with_kd(make_results: Make) -> None:
    plain, mixed = {"weights": {"ce": 1.0, "kd": 0.0}}, {"method": "kd", "weights": {"ce": 1.0}}
    methods = {"kd": plain, "kd_both": mixed}
    arms = {"pairs": ["vgg"], "methods": ["kd", "kd_both"]}
    options = {**TINY, "pairs": {"vgg": CONFIG_VGG}, "methods": methods, "distillation": arms}
    shown = make_table("accuracy", make_results(**options)).shown.set_index("Network")["Loss"]
    assert shown[["KD", "kd_both"]].tolist() == ["ce 1", "ce 1, kd 0.9"]


def test_the_guide_names_every_file(published: Path) -> None:
    guide = (published / "README.md").read_text()
    for path in published.iterdir():
        if path.name not in ("README.md", "runs"):
            assert f"`{path.name}" in guide
    for name in catalogue.tables():
        assert f"| `tables/{name}` | " in guide


def test_a_table_without_rows_says_so(make_results: Make, tmp_path: Path) -> None:
    results = make_results(**TINY)
    write_tables(results, make_tables(results), tmp_path)
    assert "no such runs" in (tmp_path / "pruning.md").read_text()
    assert len(list(tmp_path.glob("*.csv"))) == len(catalogue.tables())


def test_markdown_escapes_bars() -> None:
    text = markdown(pd.DataFrame({"a": ["x|y"], "b": [1]}))
    assert text.splitlines()[-1] == "| x\\|y | 1 |"
