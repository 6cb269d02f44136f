"""Published values: the file is sound, and what is measured stands beside the right ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.tables import published as table_module
from stagewise.analysis.tables.published import compared
from stagewise.analysis.tables.table import Results
from stagewise.errors import UserError
from stagewise.papers.references import (
    KEY,
    compare,
    load_references,
    parse_references,
    protocol_warning,
)

Make = Callable[..., Results]
RunScript = Callable[..., None]
METHODS = {
    *("teacher", "student", "kd", "fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ab", "ft"),
    *("fsp", "nst", "crd", "sskd", "hsakd", "hsakd_star", "afd", "mskd", "oto", "oto_star"),
    *("dkd", "dist", "reviewkd", "kd_ls", "dkd_ls", "mlkd", "mlkd_ls", "kd_dot", "byot"),
}
PAIR = {"teacher": {"network": "resnet56"}, "student": {"network": "resnet20"}}
STUDY = {
    "pairs": {"r56-r20": PAIR},
    "distillation": {"pairs": ["r56-r20"], "methods": ["kd"]},
    "data": {"source": "digits", "student_images_per_class": None},
    **{"multi_exit": {}, "two_stage": {}, "pruning": [], "claims_tested": []},
}


def value(*key: str | bool, protocol: str = "last epoch") -> list[float]:
    """Values of dataset, teacher, student, method, plus_kd and exit."""
    table = load_references()
    same = (table[KEY] == list(key)).all(axis=1) & (table["protocol"] == protocol)
    return list(table.loc[same, "value"])


def test_methods_are_known_and_ours_bear_their_files_names() -> None:
    used = set(load_references()["method"])
    assert used == METHODS
    assert {"kd", "mskd", "oto"} <= used & set(catalogue.methods())


def test_values_that_the_sources_print() -> None:
    w40 = ("cifar100", "wrn40-2", "wrn16-2")
    assert value(*w40, "kd", False, "final") == [74.92]
    assert value(*w40, "crd", False, "final") == [75.48]
    assert value(*w40, "crd", True, "final") == [75.64]
    assert value(*w40, "fitnet", False, "final") == [73.58]
    assert value(*w40, "fitnet", True, "final", protocol="unknown") == [75.75]
    assert value(*w40, "dkd", False, "final", protocol="best epoch") == [76.23, 76.24]
    assert value("cifar100", "", "mobilenetv2-crd", "student", False, "final") == [64.60]
    paper_b = ("cifar100", "resnet50", "vgg8")
    exits = [value(*paper_b, "oto", False, str(k), protocol="unknown") for k in (1, 2, 3, 4)]
    assert exits == [[71.20], [69.79], [70.95], [72.98]]
    assert value(*paper_b, "oto_star", False, "ensemble", protocol="unknown") == [76.19]
    tiny = ("tiny_imagenet", "resnet34", "resnet18")
    assert value(*tiny, "mskd", False, "ensemble", protocol="unknown") == [69.04]
    assert value(*tiny, "afd", False, "final", protocol="unknown") == [68.56]


def test_the_claims_published_ranges_are_in_the_values() -> None:
    # B2, B3 and B4 of claims.yaml, computed again from the values.
    table = load_references()
    paper = table[table["source"].str.startswith("MSKD paper")]
    wide = paper[paper["student"] != ""].pivot_table(
        index=["dataset", "teacher", "student"], columns=["method", "exit"], values="value"
    )
    ensemble = wide["oto"]["ensemble"]
    ranges = {
        "B1": wide["mskd"]["ensemble"] - wide["kd"]["final"],
        "B2": ensemble - wide["mskd"]["ensemble"],
        "B3": wide["oto_star"]["ensemble"] - ensemble,
        "B4": ensemble - wide["oto"]["4"],
    }
    found = {claim: (round(d.min(), 2), round(d.max(), 2)) for claim, d in ranges.items()}
    assert found == {"B1": (1.14, 2.85), "B2": (0.25, 0.99), "B3": (0.09, 0.9), "B4": (0.77, 3.62)}


ROW = {
    **{"dataset": "cifar100", "teacher": "vgg13", "student": "vgg8", "method": "kd"},
    **{
        "plus_kd": "false",
        "kd_weight": "0.9",
        "exit": "final",
        "value": "72.98",
        "sd": "",
        "n": "",
    },
    **{"protocol": "last epoch", "source": "S", "address": "https://example.org", "note": ""},
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"value": "7.298"}, "value"),
        ({"value": "many"}, "value"),
        ({"sd": "-0.1"}, "sd"),
        ({"exit": "last"}, "exit"),
        ({"protocol": "best"}, "protocol"),
        ({"dataset": "cifar-100"}, "dataset"),
        ({"address": "example.org"}, "address"),
        ({"plus_kd": "perhaps"}, "plus_kd"),
        ({"teacher": "", "student": ""}, "0"),
    ],
)
def test_a_wrong_row_is_named(change: dict[str, str], named: str) -> None:
    parse_references(pd.DataFrame([ROW]))
    with pytest.raises(UserError, match=named):
        parse_references(pd.DataFrame([{**ROW, **change}]))


def test_a_repeated_value_is_named() -> None:
    with pytest.raises(UserError, match="line 3 repeats"):
        parse_references(pd.DataFrame([ROW, {**ROW, "value": "72.99"}]))


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
    data = compared(results)
    assert set(data["method"]) == {"teacher", "student", "kd"}
    crd = data[data["source"].str.startswith("CRD benchmark") & (data["method"] == "kd")]
    assert list(crd["value"]) == [70.66]
    test = results.summary.query("arm == 'distillation/r56-r20.kd'")["test_accuracy"]
    assert crd["mean"].iloc[0] == pytest.approx(test.mean())
    assert crd["difference"].iloc[0] == pytest.approx(test.mean() - 70.66)
    assert (crd["n"].iloc[0], crd["n_published"].iloc[0]) == (6, 5)
    assert not crd["protocol_differs"].any()
    # The teacher's network on the student's images, which are all images here, is a teacher too.
    assert set(data.loc[data["method"] == "teacher", "arm"]) == {
        "teachers/r56-r20",
        "students/r56-r20.large",
    }


def test_other_protocols_are_named_and_warned_of(cifar: Callable[..., Results]) -> None:
    table = table_module.published(cifar())
    theirs = set(table.shown["Theirs"])
    assert theirs == {"last epoch", "best epoch (differs)", "unknown (differs)"}
    assert "are of the best epoch on test. Best epochs on test read about 0.3" in table.caption
    last = table.data[table.data["protocol"] == "last epoch"]
    assert protocol_warning(last) == ""


def test_method_and_method_with_kd_are_never_mixed() -> None:
    vgg = {"dataset": "cifar100", "teacher": "vgg13", "student": "vgg8", "exit": "final"}
    for plus_kd, expected in ((False, {73.94}), (True, {74.29, 74.06})):
        row = {**vgg, "method": "crd", "plus_kd": plus_kd, "mean": 74.0}
        found = compare(pd.DataFrame([{**row, "selection": "last epoch"}]), load_references())
        assert set(found["value"]) == expected


def test_a_value_that_hides_its_kd_stands_beside_both_with_a_note() -> None:
    key = {"dataset": "tiny_imagenet", "teacher": "resnet34", "student": "resnet18"}
    for plus_kd in (False, True):
        row = {**key, "method": "at", "plus_kd": plus_kd, "exit": "final", "mean": 66.0}
        found = compare(pd.DataFrame([{**row, "selection": "last epoch"}]), load_references())
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
    assert "kd" not in set(compared(cifar(**changes))["method"])


@pytest.mark.parametrize("regime", ["scratch", "imagenet"])
def test_two_stages_and_pretrained_networks_are_no_match(
    cifar: Callable[..., Results], regime: str
) -> None:
    pair = {"teacher": {"network": "vgg13"}, "student": {"network": "vgg11"}}
    data = {"source": "cifar100", "source_classes": []}
    block = {"pairs": ["p"], "regime": regime}
    changes = {"pairs": {"p": pair}, "distillation": {}, "two_stage": block, "data": data}
    found = set(table_module.measured(cifar(**changes))["arm"])
    alone = {"students/p.baseline", "students/p.large"}
    scratch = {"teachers/p", "students/p.pretrained", "two_stage/p.one-stage.kd"}
    assert found == {"scratch": alone | scratch, "imagenet": alone}[regime]


def test_a_part_of_the_classes_is_no_match(cifar: Callable[..., Results]) -> None:
    results = cifar()
    config = results.study.config
    config = {**config, "data": {**config["data"], "classes": 20}}
    assert compared(replace(results, study=replace(results.study, config=config))).empty


def test_fewer_images_are_said(cifar: Callable[..., Results]) -> None:
    data = {"source": "digits", "student_images_per_class": 10}
    shown = table_module.published(cifar(data=data)).shown.set_index("Method")["Ours"]
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
