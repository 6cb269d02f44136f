"""How readers see a table: the name first, accuracy second, the best in bold."""

import pandas as pd
import pytest

from stagewise.analysis.tables.files import table_text
from stagewise.analysis.tables.latex import latex
from stagewise.analysis.tables.layout import layout
from stagewise.analysis.tables.table import Table


@pytest.fixture
def table() -> Table:
    shown = pd.DataFrame(
        {
            "Pair": ["p", "p", "p"],
            "Loss": ["–", "–", "–"],
            "Network": ["one", "two", "three"],
            "MACs": ["1 M", "1 M", "1 M"],
            "Top-5, %": ["99.0", "99.1", "98.0"],
            "Test accuracy, %": ["94.5 ± 0.7 (6)", "94.4 ± 0.8 (6)", "90.0 ± 0.1 (6)"],
        }
    )
    data = pd.DataFrame({"arm": ["a", "b", "c"]})
    return Table("t", "Numbers.", data, shown, best=frozenset("ab"), group="pair")


CAPTION = (
    "Numbers. Bold: the best of its pair, and what is not shown to be worse. In all rows: Pair: p."
)


def test_the_name_comes_first_then_accuracy_and_what_is_equal_everywhere_is_left_out(
    table: Table,
) -> None:
    plan = layout(table)
    assert plan.headings == ["Network", "Test accuracy, %", "MACs", "Top-5, %"]
    assert plan.same == ["Pair: p"], "a dash in all rows says nothing"
    assert plan.bold == [True, True, False]
    assert plan.caption == CAPTION


def test_markdown_has_the_best_in_bold(table: Table) -> None:
    lines = table_text(table).splitlines()
    assert lines[0] == CAPTION
    assert lines[2] == "| Network | Test accuracy, % | MACs | Top-5, % |"
    assert lines[4:] == [
        "| one | **94.5** ± 0.7 (6) | 1 M | 99.0 |",
        "| two | **94.4** ± 0.8 (6) | 1 M | 99.1 |",
        "| three | 90.0 ± 0.1 (6) | 1 M | 98.0 |",
    ]


def test_latex_has_the_best_in_bold(table: Table) -> None:
    text = latex(table)
    assert r"\textbf{94.5}~$\pm$~0.7~(6)" in text
    assert r"\textbf{94.4}~$\pm$~0.8~(6)" in text
    assert text.count(r"\textbf{") == 2
    assert "In all rows: Pair: p." in text
    assert text.index("Network") < text.index(r"Test accuracy, \%") < text.index("MACs")


def test_one_row_leaves_nothing_out(table: Table) -> None:
    one = Table("t", "Numbers.", table.data.iloc[:1], table.shown.iloc[:1])
    assert {*layout(one).headings} == {*table.shown.columns}
    assert layout(one).caption == "Numbers."


def test_an_empty_table_says_so(table: Table) -> None:
    none = Table("t", "Numbers.", pd.DataFrame(), pd.DataFrame(), empty="Nothing here.")
    assert table_text(none) == "Numbers.\n\nNothing here.\n"
