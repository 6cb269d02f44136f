"""Which methods are compared with what, and how our order stands beside a published one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stagewise.analysis.claims.comparison import comparisons
from stagewise.analysis.claims.families import step_down
from stagewise.analysis.claims.orders import spearman
from stagewise.analysis.claims.results import Results
from stagewise.analysis.figures import comparison as figure
from stagewise.analysis.figures import pairwise
from stagewise.analysis.figures.drawing import look
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.study import Study
from stagewise.analysis.records.summary import summarise
from stagewise.analysis.tables.table import make_table
from stagewise.catalogue import methods

WriteStudy = Callable[..., Study]
LABELS = ["kd", "fitnet", "crd", "dkd", "hint_kd"]
MANY: dict[str, Any] = {
    "pairs": {"wide": {"teacher": {"network": "wrn40-2"}, "student": {"network": "wrn16-2"}}},
    "methods": {"hint_kd": {"method": "fitnet", "weights": {"kd": 1.0}}},
    "distillation": {"pairs": ["wide"], "methods": LABELS},
    "multi_exit": {},
    "two_stage": {"pairs": []},
    "pruning": [],
    "claims_tested": [],
    "comparison": {"published": {"wide": {"teacher": "wrn40-2", "student": "wrn16-2"}}},
}
GAINS = {"kd": 4.0, "fitnet": 0.0, "crd": 6.0, "dkd": 5.0, "hint_kd": 4.5}


def accuracy(arm: str) -> float:
    step, _, name = arm.partition("/")
    return 85.0 if step == "teachers" else 70 + GAINS.get(name.partition(".")[2], 0.0)


@pytest.fixture(scope="module")
def many(study_writer: WriteStudy, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A made-up study of five methods that says it is on CIFAR-100."""
    folder = tmp_path_factory.mktemp("many")
    study = study_writer(folder, accuracy, **MANY)
    for path in study.runs["path"]:
        effort(folder / path / "record.json", 2e12 if "crd" in path else 1e12)
    results = Results(study, summarise(study, evaluate(study)))
    config = {**study.config, "data": {**study.config["data"], "source": "cifar100"}}
    return replace(results, study=replace(study, config=config))


def effort(file: Path, macs: float) -> None:
    record = json.loads(file.read_text())
    counted = {"training_macs": int(macs), "teacher_macs": 10**12, "method_parameters": 77}
    record["protocol"] |= counted
    file.write_text(json.dumps(record))


def block(results: Results, **changes: Any) -> Results:
    """The same with other keys of ``comparison``."""
    config = {**results.study.config}
    config["comparison"] = {**config.get("comparison", {}), **changes}
    return replace(results, study=replace(results.study, config=config))


def test_the_families_are_those_of_the_differences(many: Results) -> None:
    table = make_table("comparison", many).data.set_index("arm")
    wide = many.main.pivot(index="seed", columns="arm", values="test_accuracy")
    arms = [f"distillation/wide.{label}" for label in LABELS]
    kd, alone = arms[0], "students/wide.baseline"
    for reference, name in ((kd, "kd"), (alone, "baseline")):
        others = [arm for arm in arms if arm != reference]
        differences = wide[others].sub(wide[reference], axis=0)
        found = table.loc[others]
        assert (found[f"{name}_members"] == len(others)).all()
        assert found[f"{name}_mean"].to_numpy() == pytest.approx(differences.mean().to_numpy())
        expected = step_down(differences.to_numpy())
        assert found[f"{name}_p_adjusted"].to_numpy() == pytest.approx(expected)
        inside = found[f"{name}_low"] < found[f"{name}_mean"]
        assert (inside & (found[f"{name}_mean"] < found[f"{name}_high"])).all()
    assert pd.isna(table.loc[kd, "kd_mean"])
    assert pd.isna(table.loc[alone, "baseline_mean"])
    assert list(table["mean"]) == sorted(table["mean"], reverse=True)


def test_training_is_counted_relative_to_plain_kd(many: Results) -> None:
    table = make_table("comparison", many)
    relative = table.data.set_index("arm")["training_macs_to_kd"]
    assert relative["distillation/wide.kd"] == 1
    assert relative["distillation/wide.crd"] == 1.5
    assert set(table.shown["Extra parameters"]) == {"77"}
    others = make_table("comparison", block(many, references=["baseline"], methods=LABELS[1:4]))
    assert others.data.set_index("arm")["training_macs_to_kd"]["distillation/wide.crd"] == 1.5


@pytest.mark.parametrize("name", ["accuracy", "fidelity", "order"])
def test_training_stands_beside_accuracy_in_other_tables_too(many: Results, name: str) -> None:
    table = make_table(name, many)
    relative = table.data.set_index("arm")["training_macs_to_kd"]
    compared = make_table("comparison", many).data.set_index("arm")["training_macs_to_kd"]
    known = relative[relative.notna()]
    assert {"distillation/wide.kd", "distillation/wide.crd"} <= {*known.index}
    assert known.to_dict() == compared[known.index].to_dict()
    shown = dict(zip(relative.index, table.shown["Training MACs, × KD"], strict=True))
    assert shown["distillation/wide.crd"] == "1.50"
    assert shown.get("teachers/wide", "–") == "–", "it is given"


def test_records_of_before_training_was_counted_have_a_dash(make_results: Any) -> None:
    results = make_results(accuracy, **MANY)
    table = make_table("comparison", results)
    assert set(table.shown["Training MACs, × KD"]) == set(table.shown["Extra parameters"]) == {"–"}
    assert set(make_table("accuracy", results).shown["Training MACs, × KD"]) == {"–"}


def test_the_config_says_what_is_compared_with_what(many: Results) -> None:
    chosen = block(many, methods=["kd", "crd", "dkd"], references=["crd"])
    table = make_table("comparison", chosen)
    assert {*table.data["method"]} == {"kd", "crd", "dkd", "ce"}
    assert set(table.data["crd_members"].dropna()) == {2}
    assert "kd_mean" not in table.data
    assert "differences to crd, each a family" in table.caption
    assert "(members: kd, crd, dkd)" in table.caption
    assert "differences to KD and student alone" in make_table("comparison", many).caption


def test_nobody_has_to_declare_a_comparison(many: Results) -> None:
    """Two methods stand against KD and the student alone; a matrix needs more."""
    few = block(many, methods=["kd", "crd"])
    table = make_table("comparison", few).data.set_index("arm")
    assert table.loc["distillation/wide.crd", ["kd_members", "baseline_members"]].tolist() == [1, 2]
    assert len(figure.draw(few).axes) == 3
    assert not make_table("fidelity", few).shown.empty
    assert not pairwise.draw(few).axes
    alone = block(many, methods=["kd"])
    assert make_table("comparison", alone).data["baseline_members"].dropna().tolist() == [1]


def test_an_arm_without_all_seeds_is_no_member(many: Results) -> None:
    arm = "distillation/wide.dkd"
    lost = (many.summary["arm"] == arm) & (many.summary["seed"] == 3)
    table = make_table("comparison", replace(many, summary=many.summary[~lost])).data
    table = table.set_index("arm")
    assert pd.isna(table.loc[arm, "kd_mean"])
    assert table.loc[arm, "n"] == 5
    assert set(table["kd_members"].dropna()) == {3}
    assert set(table["kd_n"].dropna()) == {6}


def test_all_pairs_of_the_matrix_are_one_family(many: Results) -> None:
    (pair,) = comparisons(many)
    assert len(pair.pairwise) == 6 * 5 // 2
    assert set(pair.pairwise["members"]) == {15}
    (axes,) = pairwise.draw(many).axes
    assert len(axes.patches) == 2 * 15
    significant = int((pair.pairwise["p_adjusted"] <= 0.05).sum())
    assert len(axes.lines) == 2 * significant


def test_the_figure_has_every_seed_and_every_cost(many: Results) -> None:
    kd, alone, cost = figure.draw(many).axes
    (pair,) = comparisons(many)
    for axes, arm in ((kd, "distillation/wide.kd"), (alone, "students/wide.baseline")):
        dots = [line for line in axes.lines if len(line.get_xdata()) == 6]
        drawn = np.sort(np.concatenate([line.get_xdata() for line in dots]))
        assert drawn == pytest.approx(np.sort(pair.differences(arm).to_numpy().ravel()))
        low, high = axes.get_xlim()
        assert low < drawn.min() <= drawn.max() < high
    assert len(cost.patches) == 6


def test_fidelity_tells_inherited_errors(many: Results) -> None:
    table = make_table("fidelity", many).data.set_index("arm")
    study = many.study
    wrong = []
    for seed in range(6):
        own = study.files(f"runs/toy/distillation/wide.crd/seed-{seed}").logits("test")["test"]
        teacher = study.files("runs/toy/teachers/wide/seed-0").logits("test")["test"]
        named = teacher.logits[-1].argmax(1)
        erring = named != teacher.labels
        wrong.append(100 * (own.logits[-1].argmax(1) == named)[erring].mean())
    found = table.loc["distillation/wide.crd"]
    assert found["test_agreement_wrong"] == pytest.approx(np.mean(wrong))
    alone = table.loc["students/wide.baseline", "test_agreement_wrong"]
    assert found["wrong_difference"] == pytest.approx(np.mean(wrong) - alone)
    assert pd.isna(table.loc["students/wide.baseline", "wrong_difference"])


def test_the_published_order_is_of_one_source_and_the_same_loss(many: Results) -> None:
    table = make_table("order", many)
    data = table.data.set_index("method")
    assert set(data["source"]) == {"CRD benchmark, RepDistiller README"}
    assert data["value"].to_dict() == {"crd": 75.48, "kd": 74.92, "fitnet": 73.58}
    assert data[["place", "place_published"]].to_numpy().tolist() == [[1, 1], [2, 2], [3, 3]]
    assert "Spearman’s ρ is not computed of 3 methods" in table.caption
    sskd = {"wide": {"teacher": "wrn40-2", "student": "wrn16-2", "source": "SSKD"}}
    assert make_table("order", block(many, published=sskd)).data.empty  # hint_kd alone is there


@pytest.mark.parametrize("width", [None, 8])
def test_without_a_table_named_only_networks_of_full_size_have_one(
    many: Results, width: int | None
) -> None:
    usual = block(many, published={})
    config = {**usual.study.config}
    student = {"network": "wrn16-2", **({"width": width} if width else {})}
    config["pairs"] = {"wide": {"teacher": {"network": "wrn40-2"}, "student": student}}
    changed = replace(usual, study=replace(usual.study, config=config))
    assert make_table("order", changed).data.empty == bool(width)


def test_a_part_of_the_classes_stands_beside_no_order_by_itself(many: Results) -> None:
    config = {**many.study.config}
    config["data"] = {**config["data"], "classes": 30}
    part = replace(many, study=replace(many.study, config=config))
    assert len(make_table("order", part).data) == 3  # the config names the table
    assert make_table("order", block(part, published={})).data.empty


def test_spearman_has_an_interval_from_five_methods_on() -> None:
    rng = np.random.default_rng(0)
    ours = pd.Series(rng.normal(size=12))
    theirs = ours + rng.normal(size=12)
    found = spearman(ours, theirs)
    assert found.rho == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert -1 < found.low < found.rho < found.high < 1
    assert np.isnan(spearman(ours[:4], theirs[:4]).rho)
    assert np.isnan(spearman(ours, ours * 0).rho)
    same = spearman(ours, ours)
    assert same.rho == pytest.approx(1)
    assert np.isnan(same.low)


def test_the_interval_of_spearman_covers() -> None:
    rng, held, studies = np.random.default_rng(1), 0, 400
    true = 6 / np.pi * np.arcsin(0.6 / 2)  # of normal values that correlate by 0.6
    for _ in range(studies):
        x = rng.normal(size=15)
        found = spearman(pd.Series(x), pd.Series(0.6 * x + 0.8 * rng.normal(size=15)))
        held += bool(found.low <= true <= found.high)
    assert held >= stats.binom.ppf(0.001, studies, 0.95)


def test_a_method_has_a_look_of_its_own_that_no_other_method_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [*methods(), "a_variant", "another"]
    looks = [look(name) for name in names]
    assert len({*looks}) == len(looks)
    assert len({colour for colour, _ in looks}) >= len(looks) - 1
    from stagewise import catalogue

    known = {"aaa_new": catalogue.methods()["kd"], **catalogue.methods()}
    monkeypatch.setattr(catalogue, "methods", lambda: known)
    assert [look(name) for name in names] == looks
    assert look("aaa_new") not in looks
