"""Tables: what they recompute, what they must show, and their files."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.shock import MEASURES
from stagewise.analysis.records.study import read_study
from stagewise.analysis.records.summary import summarise
from stagewise.analysis.tables.cells import factor, spread
from stagewise.analysis.tables.files import markdown, protocol_lines, write_tables
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


def test_arms_at_common_rates_are_compared_at_their_rate(results: Results) -> None:
    table = make_table("rates", results)
    wide = results.main.pivot(index="seed", columns="arm", values="test_accuracy")
    data = table.data.set_index("arm")
    rates = {0.05, 0.1}
    assert {*data["rate"]} == rates
    assert len(data) == 3 * len(rates)
    for rate in rates:
        arm, standard = (
            f"two_stage/resnet.kd.lr-{rate:g}",
            f"students/resnet.pretrained.lr-{rate:g}",
        )
        assert data.loc[arm, "baseline"] == standard
        assert data.loc[arm, "difference"] == pytest.approx((wide[arm] - wide[standard]).mean())
        assert pd.isna(data.loc[standard, "difference"])
    assert table.shown["Rate"].tolist() == ["0.05"] * 3 + ["0.1"] * 3


def test_common_rates_have_a_table_of_their_own(results: Results) -> None:
    for name in ("accuracy", "rates"):
        arms = make_table(name, results).data["arm"]
        assert arms.str.contains(".lr-", regex=False).all() == (name == "rates")
        assert arms.str.contains(".lr-", regex=False).any() == (name == "rates")


def test_the_shock_table_goes_from_tuned_arms_to_common_rates(results: Results) -> None:
    table = make_table("shock", results)
    assert table.shown["Rate"].tolist() == [
        *["0.05, tuned"] * 3,
        *["0.05, common"] * 3,
        *["0.1, common"] * 3,
    ]
    shaken = table.shown[table.shown["Network"] == "one-stage KD"].iloc[0]
    runs = results.shock[results.shock["arm"] == "two_stage/resnet.one-stage.kd"]
    mean = np.exp(np.log(runs["shock_peak"]).mean())
    assert shaken["Peak"].startswith(f"{mean:.1f} ×/÷ 1.")
    assert shaken["Peak"].endswith("(6) [0]")
    assert shaken["Start, running"].startswith("5")  # its cube, three digits
    assert set(table.shown["Minus baseline, points"].iloc[3:]) == {"–"}


def test_tables_at_common_rates_say_what_diverged(results: Results) -> None:
    arm = "two_stage/resnet.kd.lr-0.1"
    gone = (results.summary["arm"] == arm) & (results.summary["seed"] < 2)
    summary = results.summary.assign(diverged=gone.astype(int))
    lost = replace(results, summary=summary)
    for name in ("rates", "shock"):
        tables = (make_table(name, each) for each in (results, lost))
        before, after = (table.shown["Network"].tolist() for table in tables)
        assert after == [*before[:-1], f"{before[-1]}; 2 of 6 diverged"]
    data = make_table("rates", lost).data.set_index("arm")["diverged"]
    assert data[arm] == 2
    assert data.drop(arm).eq(0).all()


def test_a_run_that_diverged_has_no_shock(make_results: Make, tmp_path: Path) -> None:
    before = make_results(**{**TINY, "two_stage": {"pairs": ["resnet"]}, "seeds": (0, 1)})
    path = "runs/toy/two_stage/resnet.kd/seed-0"
    file = tmp_path / path / "record.json"
    record = json.loads(file.read_text())
    record["protocol"]["diverged"] = True
    file.write_text(json.dumps(record))
    study = read_study(tmp_path / "plan.json", tmp_path)
    after = Results(study, summarise(study, evaluate(study)))
    assert before.summary["diverged"].eq(0).all()
    assert [*after.summary.query("diverged == 1")["path"]] == [path]
    columns = [*MEASURES]
    known = before.shock.set_index("path")[columns].notna()
    known.loc[path] = False
    pd.testing.assert_frame_equal(after.shock.set_index("path")[columns].notna(), known)
    shown = make_table("shock", after).shown["Network"]
    assert [*shown[shown.str.endswith("; 1 of 2 diverged")]] == ["two-stage KD; 1 of 2 diverged"]


def test_factors_have_two_digits_that_count() -> None:
    assert factor(pd.Series([2.0, 8.0])) == "4.0 ×/÷ 2.67 (2)"
    assert factor(pd.Series([0.123])) == "0.12 (1)"
    assert factor(pd.Series([512.0, 512.0, float("nan")])) == "512 ×/÷ 1.00 (2)"
    assert factor(pd.Series([float("nan"), 0.0])) == "–"


def test_a_negative_mean_has_a_minus_sign() -> None:
    assert spread(pd.Series([-1.0, -2.0])) == "−1.5 ± 0.7 (2)"


def test_tables_bear_the_names_of_their_files(results: Results) -> None:
    names = ["accuracy", "published", "pruning", "exits", "shock", "rates"]
    names += ["quality", "latency", "comparison", "fidelity", "order", "ensembles", "thresholds"]
    names += ["gradcam", "mechanism", "recovery", "chain", "target", "recovery_shock"]
    assert [table.name for table in make_tables(results)] == list(catalogue.tables()) == names


def test_tables_on_disk(published: Path) -> None:
    names = {path.name for path in (published / "tables").iterdir()}
    files = {f"{name}.{end}" for name in catalogue.tables() for end in ("csv", "md", "tex")}
    assert names == files | {"study.md", "study.tex"}
    text = (published / "tables/study.md").read_text()
    assert "vgg: teacher against the student alone: +" in text
    assert "Learning rates tuned on validation: 0 of" in text


def test_every_result_shows_spread_difference_loss_and_costs(results: Results) -> None:
    latency = pd.DataFrame({"arm": ["students/vgg.baseline"], "batch": [1], "milliseconds": [0.5]})
    results = replace(results, latency=latency)
    alone = {"published", "order", "mechanism", "recovery", "target", "recovery_shock"}
    for name in catalogue.tables().keys() - alone:
        # of digits nothing is published or asked; correlations and shares are of no one network
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
    assert shown[["KD", "KD, both"]].tolist() == ["ce 1", "ce 1, kd 0.9"]


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


def test_the_protocol_says_which_rates_were_tuned(results: Results) -> None:
    trained = results.summary.query("epochs > 0 and lr.notna() and common_rate.isna()")
    trained = trained[trained["recipe"] != "reestimate_batch_norm"]  # no rate has an effect there
    arms = [arm for arm in trained["arm"].unique() if "kd_twice" not in arm]  # at KD's rate
    students = [arm for arm in arms if arm.startswith("students/")]
    config = {**results.study.config, "learning_rates": dict.fromkeys(students, 0.1)}
    some = replace(results, study=replace(results.study, config=config))
    line = protocol_lines(some)[1]
    assert f"tuned on validation: {len(students)} of {len(arms)} networks" in line
    assert "all teachers" in line
    assert "students" not in line.partition("not tuned:")[2]
    config["learning_rates"] = dict.fromkeys(arms[1:], 0.1)
    others = protocol_lines(replace(results, study=replace(results.study, config=config)))[1]
    assert f"not tuned: {arms[0]}." in others


def test_the_protocol_says_that_teachers_see_more(results: Results) -> None:
    def told(**changes: Any) -> str:
        config = {**results.study.config, **changes}
        study = replace(results.study, config=config)
        return " ".join(protocol_lines(replace(results, study=study)))

    few = {"source": "digits", "student_images_per_class": 10, "target_images_per_class": None}
    assert "students 10 a class of all classes: the networks" in told(data=few)
    without = told(data=few, teachers={"same_data": False})
    assert "no network shows how much" in without
    everything = {**few, "student_images_per_class": None}
    assert "Teachers see" not in told(data=everything)
    assert "students 10 a class of the 30 classes" in told(data={**few, "classes": 30})
    assert "students 10 a class of the 2 classes" in told(data={**few, "classes": [3, 7]})
    target = told(data={**everything, "target_images_per_class": 5})
    assert "students 5 a class of the target classes" in target


def test_the_protocol_says_what_every_seed_has_of_its_own(results: Results) -> None:
    """Of what the study has: nothing is pretrained where nothing is, and no class is left out."""

    def told(runs: pd.DataFrame, **changes: Any) -> str:
        study = replace(results.study, runs=runs, config={**results.study.config, **changes})
        return protocol_lines(replace(results, study=study))[2]

    runs = results.study.runs
    few = {"source": "digits", "student_images_per_class": 10}
    split = {**few, "source_classes": [0, 1]}
    whole = "teacher, pretrained backbone, class split on the two-stage task and draw of images"
    assert f"one {whole} per pair serves all seeds" in told(runs, data=split)
    assert f"every seed has its own {whole}, so" in told(runs, data=split, replicates="chains")
    plain = runs[runs["step"] != "pretraining"]
    chains = told(plain, data=few, replicates="chains")
    assert "its own teacher and draw of images, so that this variation is in the inter" in chains
    assert "its own teacher, so" in told(plain, data={"source": "digits"}, replicates="chains")


def test_the_gain_of_an_ensemble_is_over_its_own_last_exit(results: Results) -> None:
    table = make_table("ensembles", results).data.set_index(["arm", "exits"])
    arm = "multi_exit/resnet.mskd"
    wide = results.summary[results.summary["arm"] == arm].pivot(
        index="seed", columns="exit", values="test_accuracy"
    )
    whole = table.loc[(arm, 3)]
    assert whole["mean_logits"] == pytest.approx(wide["ensemble"].mean())
    assert whole["difference"] == pytest.approx((wide["ensemble"] - wide["3"]).mean())
    assert table.loc[(arm, 1), "mean_logits"] == pytest.approx(wide["1"].mean())
    assert (table["cumulative_macs"].unstack().diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


def test_operating_points_stand_beside_what_passing_all_exits_takes(results: Results) -> None:
    data = make_table("thresholds", results).data
    assert len(data) == 3 * 3 * 3  # arms, scores, points
    assert data["macs_share"].between(0.3, 1).all()
    half = data[data["point"] == "half"]
    assert (half["macs_share"] < 0.6).all(), "chosen on validation, so about half on test"
    shares = data[["share_1", "share_2", "share_3"]].sum(axis=1)
    assert shares.to_numpy() == pytest.approx(1)


def test_latency_of_an_operating_point_is_that_of_the_exits_passed(results: Results) -> None:
    arm = "multi_exit/resnet.mskd"
    exits = {"1": 1.0, "2": 3.0, "ensemble": 4.0}
    rows = [{"arm": arm, "exit": e, "batch": 1, "milliseconds": m} for e, m in exits.items()]
    table = make_table("thresholds", replace(results, latency=pd.DataFrame(rows)))
    data = table.data.set_index("arm").loc[arm]
    passed = data["share_1"] + 3 * data["share_2"] + 4 * data["share_3"]
    assert data["milliseconds"].to_numpy() == pytest.approx(passed.to_numpy())
    assert data["milliseconds_share"].to_numpy() == pytest.approx((passed / 4).to_numpy())
    assert table.data.loc[table.data["arm"] != arm, "milliseconds"].isna().all()
    latency = make_table("latency", replace(results, latency=pd.DataFrame(rows))).data
    macs = results.summary[results.summary["arm"] == arm].groupby("exit")["cumulative_macs"].mean()
    assert dict(zip(latency["exit"], latency["macs"], strict=True)) == macs[[*exits]].to_dict()


def test_the_clock_stands_beside_the_network_that_was_timed(results: Results) -> None:
    """Seeds that were pruned to other shapes are a range, not a mean that no network has."""
    arm = "students/vgg.baseline"
    latency = pd.DataFrame({"arm": [arm], "batch": [1], "milliseconds": [0.5]})
    own = results.summary["arm"] == arm
    plain = make_table("latency", replace(results, latency=latency))
    assert "MACs of all seeds" not in plain.shown
    runs = results.study.runs
    seeds = {path: n for n, path in enumerate(runs.loc[runs["arm"] == arm, "path"])}
    assert len(seeds) > 1
    more = results.summary["path"].map(seeds).fillna(0)
    summary = results.summary.assign(
        macs=results.summary["macs"] + more * 10**6, cumulative_macs=float("nan")
    )
    table = make_table("latency", replace(results, latency=latency, summary=summary))
    (row,) = table.data.to_dict("records")
    assert row["macs"] == row["macs_low"] == results.summary.loc[own, "macs"].iloc[0]
    assert row["macs_high"] - row["macs_low"] == (len(seeds) - 1) * 10**6
    assert " to " in table.shown["MACs of all seeds"].iloc[0]
