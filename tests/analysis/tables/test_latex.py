"""Tables for LaTeX: signs, escapes and widths. Whether LaTeX takes them: tests/system."""

import re
from pathlib import Path

import pandas as pd
import pytest

from stagewise import catalogue
from stagewise.analysis.tables.latex import cell, escaped, latex, shares
from stagewise.analysis.tables.table import Table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("94.5 ± 0.7 (6)", r"94.5~$\pm$~0.7~(6)"),
        ("−1.4 [−2.4, −0.5]", r"$-$1.4 [$-$2.4,~$-$0.5]"),
        ("1.5 M (2.0× fewer)", r"1.5~M~(2.0$\times$~fewer)"),
        ("ce 0.1, kd 0.9", "ce 0.1, kd 0.9"),
        ("–", "--"),
    ],
)
def test_numbers_stay_whole_and_signs_are_mathematical(text: str, expected: str) -> None:
    assert cell(text) == expected


def test_no_character_is_a_command() -> None:
    hostile = r"\input{x} 50% & #1 $a_b^c ~ {<script>}|"
    left = re.sub(r"\\(\w+\{\}|[&%$#_{}])|\$[<>]\$", "", escaped(hostile))
    assert not set(left) & set("\\%&#$^~{}_<>|")


def test_long_names_may_break_at_their_dots() -> None:
    assert escaped("recovery/resnet.two_stage") == (
        r"recovery/\allowbreak{}resnet.\allowbreak{}two\_\allowbreak{}stage"
    )
    assert "allowbreak" not in escaped("0.9 of 1.5/2")


def test_a_table_fills_at_most_a_line() -> None:
    narrow = shares(pd.DataFrame({"a": ["x"], "b": ["y" * 20]}))
    assert sum(narrow) < 0.5
    wide = pd.DataFrame({str(k): [f"{'word ' * 12}", "abc"] for k in range(9)})
    assert sum(shares(wide)) == pytest.approx(1)
    words = pd.DataFrame({str(k): ["m" * 40] for k in range(9)})
    assert sum(shares(words)) == pytest.approx(1)


def test_an_empty_table_says_so() -> None:
    table = Table("x", "50 % of it.", pd.DataFrame(), pd.DataFrame(), empty="Nothing of 1_000.")
    assert latex(table) == "50 \\% of it.\n\nNothing of 1\\_000.\n"


def test_every_table_has_rules_caption_and_label(published: Path) -> None:
    study = (published / "tables/study.tex").read_text()
    for name in catalogue.tables():
        text = (published / f"tables/{name}.tex").read_text()
        assert f"\\input{{{name}.tex}}" in study
        if name not in ("published", "order", "target", "recovery_shock"):  # digits have none
            for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", "longtable"):
                assert part in text
            assert f"\\label{{tab:{name}}}" in text
        assert not re.search(r"[^\x00-\x7f]", text)
    assert "<script>" not in study
