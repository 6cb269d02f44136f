"""What is measured stands beside the right published values."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.published import AUDIT, compare, measured, protocol_warning
from stagewise.analysis.tables.table import make_table
from stagewise.papers.published_values import load_published_values

Make = Callable[..., Results]
RunScript = Callable[..., None]
PAIR = {"teacher": {"network": "resnet56"}, "student": {"network": "resnet20"}}
STUDY = {
    "pairs": {"r56-r20": PAIR},
    "distillation": {"pairs": ["r56-r20"], "methods": ["kd"]},
    "data": {"source": "digits", "student_images_per_class": None},
    **{"multi_exit": {}, "two_stage": {}, "pruning": [], "claims_tested": []},
}


@pytest.fixture
def cifar(make_results: Make) -> Callable[..., Results]:
    """Results of a made-up study that says it is on CIFAR-100."""

    def make(**changes: object) -> Results:
        results = make_results(lambda arm: 70.0, **{**STUDY, **changes})
        config = results.study.config
        config = {**config, "data": {**config["data"], "source": "cifar100"}}
        return replace(results, study=replace(results.study, config=config))

    return make


def test_measured_stands_beside_published(cifar: Callable[..., Results]) -> None:
    results = cifar()
    data = make_table("published", results).data
    assert set(data["method"]) == {"teacher", "student", "kd"}
    crd = data[data["source"].str.startswith("CRD benchmark") & (data["method"] == "kd")]
    assert list(crd["value"]) == [70.66]
    test = results.summary.query("arm == 'distillation/r56-r20.kd'")["test_accuracy"]
    assert crd["mean"].iloc[0] == pytest.approx(test.mean())
    assert crd["difference"].iloc[0] == pytest.approx(test.mean() - 70.66)
    assert (crd["n"].iloc[0], crd["n_published"].iloc[0]) == (6, 5)
    assert not crd["protocol_differs"].any()
    assert set(data.loc[data["method"] == "teacher", "arm"]) == {"teachers/r56-r20"}


def test_other_protocols_are_named_and_warned_of(cifar: Callable[..., Results]) -> None:
    table = make_table("published", cifar())
    theirs = set(table.shown["Theirs"])
    assert theirs == {"last epoch", "best epoch (differs)", "unknown (differs)"}
    assert "are of the best epoch on test. Best epochs on test read about 0.3" in table.caption
    last = table.data[table.data["protocol"] == "last epoch"]
    assert protocol_warning(last) == ""


def test_method_and_method_with_kd_are_never_mixed() -> None:
    vgg = {"dataset": "cifar100", "teacher": "vgg13", "student": "vgg8", "exit": "final"}
    for plus_kd, expected in ((False, {73.94}), (True, {74.29, 74.06})):
        row = {**vgg, "method": "crd", "plus_kd": plus_kd, "mean": 74.0}
        found = compare(pd.DataFrame([{**row, "selection": "last epoch"}]), load_published_values())
        assert set(found["value"]) == expected


def test_a_value_that_hides_its_kd_stands_beside_both_with_a_note() -> None:
    key = {"dataset": "tiny_imagenet", "teacher": "resnet34", "student": "resnet18"}
    for plus_kd in (False, True):
        row = {**key, "method": "at", "plus_kd": plus_kd, "exit": "final", "mean": 66.0}
        found = compare(pd.DataFrame([{**row, "selection": "last epoch"}]), load_published_values())
        assert list(found["value"]) == [66.54]
        assert found["note"].str.contains("not stated").all()


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": {"r56-r20": {**PAIR, "student": {"network": "resnet20", "width": 32}}}},
        {"methods": {"kd": {"weights": {"kd": 0.0}}}},
    ],
)
def test_another_width_or_loss_is_no_match(
    cifar: Callable[..., Results], changes: dict[str, object]
) -> None:
    assert "kd" not in set(make_table("published", cifar(**changes)).data["method"])


@pytest.mark.parametrize("regime", ["scratch", "imagenet"])
def test_two_stages_and_pretrained_networks_are_no_match(
    cifar: Callable[..., Results], regime: str
) -> None:
    pair = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg11"}}
    data = {"source": "cifar100", "source_classes": []}
    block = {"pairs": ["p"], "regime": regime}
    changes = {"pairs": {"p": pair}, "distillation": {}, "two_stage": block, "data": data}
    found = set(measured(cifar(**changes))["arm"])
    alone = {"students/p.baseline"}
    scratch = {"teachers/p", "students/p.pretrained", "two_stage/p.one-stage.kd"}
    assert found == {"scratch": alone | scratch, "imagenet": alone}[regime]


def test_a_part_of_the_classes_is_no_match(cifar: Callable[..., Results]) -> None:
    results = cifar()
    config = results.study.config
    config = {**config, "data": {**config["data"], "classes": 20}}
    part = replace(results, study=replace(results.study, config=config))
    assert make_table("published", part).data.empty


def test_fewer_images_are_said(cifar: Callable[..., Results]) -> None:
    data = {"source": "digits", "student_images_per_class": 10}
    shown = make_table("published", cifar(data=data)).shown.set_index("Method")["Ours"]
    assert shown["KD"].str.endswith("10 images a class").all()
    assert shown["teacher"].str.endswith("of 100, all images").any()


def test_digits_have_no_published_values(published: Path) -> None:
    text = (published / "tables/published.md").read_text()
    assert text.endswith("\n\nNo published value is for this data set and pair.\n")
    assert "dataset,teacher,student" in (published / "tables/published.csv").read_text()


def test_the_script_warns_once(
    cifar: Callable[..., Results],
    run_script: RunScript,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cifar().summary.to_csv(tmp_path / "summary.csv", index=False)
    plan = tmp_path / "plan.json"
    plan.write_text(plan.read_text().replace('"source": "digits"', '"source": "cifar100"'))
    run_script(tmp_path, "tables", "--plan", "plan.json", "--summary", "summary.csv", "--out", "t")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: toy: ")


def test_a_variant_that_is_trained_otherwise_has_no_published_twin(
    cifar: Callable[..., Results],
) -> None:
    """Images or a recipe of its own make it another thing; a weight or a temperature does not."""
    variants = {
        "kd_star": {"method": "kd", "training": {"auto_augment": True}},
        "kd_hot": {"method": "kd", "temperature": 8.0},
        "kd_frozen": {"method": "kd", "recipe": {"recipe": "frozen_backbone"}},
    }
    steps = {"pairs": ["r56-r20"], "methods": ["kd", *variants]}
    results = cifar(pairs={"r56-r20": PAIR}, methods=variants, distillation=steps)
    arms = {*make_table("published", results).data["arm"]}
    assert arms & {f"distillation/r56-r20.{name}" for name in variants} == {
        "distillation/r56-r20.kd_hot"
    }


def test_a_control_is_no_pairs_student(cifar: Callable[..., Results]) -> None:
    wide = {**PAIR, "wide": {"network": "resnet20", "width": 17}}
    exits = {"pairs": ["r56-r20"], "controls": ["wide", "twice"]}
    results = cifar(pairs={"r56-r20": wide}, multi_exit=exits)
    data = make_table("published", results).data
    assert "distillation/r56-r20.kd" in set(data["arm"])
    assert not data["arm"].str.contains("kd_").any()


def test_paper_bs_gain_is_told_beside_its_values(cifar: Callable[..., Results]) -> None:
    assert AUDIT not in make_table("published", cifar()).caption
    pair = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}
    steps = {"distillation": {"pairs": ["v"], "methods": ["kd"]}, "multi_exit": {"pairs": ["v"]}}
    assert AUDIT in make_table("published", cifar(pairs={"v": pair}, **steps)).caption
