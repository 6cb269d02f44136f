"""Published values: the file is sound."""

import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.tables.published import AUDIT, PAPER_B
from stagewise.errors import UserError
from stagewise.papers.published_values import KEY, load_published_values, parse_published_values

METHODS = {
    *("teacher", "student", "kd", "fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ab", "ft"),
    *("fsp", "nst", "crd", "sskd", "hsakd", "hsakd_star", "afd", "mskd", "oto", "oto_star"),
    *("dkd", "dist", "reviewkd", "kd_ls", "dkd_ls", "mlkd", "mlkd_ls", "kd_dot", "byot"),
    "wttm",
}


def value(*key: str | bool, protocol: str = "last epoch") -> list[float]:
    """Values of dataset, teacher, student, method, plus_kd and exit."""
    table = load_published_values()
    same = (table[KEY] == list(key)).all(axis=1) & (table["protocol"] == protocol)
    return list(table.loc[same, "value"])


def test_methods_are_known_and_ours_bear_their_files_names() -> None:
    used = set(load_published_values()["method"])
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
    assert value(*w40, "wttm", False, "final", protocol="unknown") == [76.37]
    assert value("cifar100", "", "mobilenetv2-crd", "student", False, "final") == [64.60]
    paper_b = ("cifar100", "resnet50", "vgg8")
    exits = [value(*paper_b, "oto", False, str(k), protocol="unknown") for k in (1, 2, 3, 4)]
    assert exits == [[71.20], [69.79], [70.95], [72.98]]
    assert value(*paper_b, "oto_star", False, "ensemble", protocol="unknown") == [76.19]
    tiny = ("tiny_imagenet", "resnet34", "resnet18")
    assert value(*tiny, "mskd", False, "ensemble", protocol="unknown") == [69.04]
    assert value(*tiny, "afd", False, "final", protocol="unknown") == [68.56]


def test_the_claims_published_ranges_are_in_the_values() -> None:
    # B1a, B2, B3 and B4 of claims.yaml, computed again from the values.
    table = load_published_values()
    paper = table[table["source"].str.startswith("MSKD paper")]
    wide = paper[paper["student"] != ""].pivot_table(
        index=["dataset", "teacher", "student"], columns=["method", "exit"], values="value"
    )
    ensemble = wide["oto"]["ensemble"]
    ranges = {
        "B1a": wide["mskd"]["ensemble"] - wide["kd"]["final"],
        "B2": ensemble - wide["mskd"]["ensemble"],
        "B3": wide["oto_star"]["ensemble"] - ensemble,
        "B4": ensemble - wide["oto"]["4"],
    }
    found = {claim: (round(d.min(), 2), round(d.max(), 2)) for claim, d in ranges.items()}
    assert found == {"B1a": (1.14, 2.85), "B2": (0.25, 0.99), "B3": (0.09, 0.9), "B4": (0.77, 3.62)}


def test_the_audit_says_what_the_values_say() -> None:
    table = load_published_values()
    paper = table[table["source"].str.startswith(PAPER_B)]
    wide = paper[paper["student"] != ""].pivot_table(
        index=["dataset", "teacher", "student"], columns=["method", "exit"], values="value"
    )
    over_kd = (wide["oto"]["4"] - wide["kd"]["final"]).dropna()
    gain = (wide["oto"]["ensemble"] - wide["oto"]["4"]).dropna()
    assert f"{over_kd.min():.2f} to {over_kd.max():+.2f}".replace("-", "−") in AUDIT
    assert f"{gain.min():.2f} to {gain.max():.2f}" in AUDIT
    below = over_kd[over_kd < 0].index.get_level_values("student")
    assert below.tolist() == ["vgg8", "vgg8"]


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
    parse_published_values(pd.DataFrame([ROW]))
    with pytest.raises(UserError, match=named):
        parse_published_values(pd.DataFrame([{**ROW, **change}]))


def test_a_repeated_value_is_named() -> None:
    with pytest.raises(UserError, match="line 3 repeats"):
        parse_published_values(pd.DataFrame([ROW, {**ROW, "value": "72.99"}]))
