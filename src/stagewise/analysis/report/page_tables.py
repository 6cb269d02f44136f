"""Tables as the page shows them: the name first, accuracy second, nothing that is the same in every
row, and the best in bold."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.tables.table import Table

NAMING = ("Network", "Method", "Recipe", "Step", "Run")
"""Headings of the column that names a row: the first of these that a table has."""
ACCURACY = ("Test accuracy, %", "Measured, %", "Ours, %")
KEPT = ("Parameters", "MACs")
"""Headings that stay though all rows are equal: readers look for them."""


@dataclass(frozen=True)
class PageTable:
    """``rows``: cells, the name first. ``same``: what was left out, as ``heading: value``."""

    name: str
    caption: str
    headings: list[str]
    rows: list[list[object]]
    same: list[str]
    bold: bool


def page_table(table: Table, provenance: Provenance) -> PageTable:
    """A table for the page, each number linked to its runs."""
    linked = provenance.linked(table)
    named = next((heading for heading in NAMING if heading in linked), linked.columns[0])
    accuracy = next((heading for heading in ACCURACY if heading in linked), None)
    best = _best_rows(table) if accuracy else []
    if accuracy and best:
        marked = [
            Markup("<strong>{}</strong>").format(cell) if bold else cell
            for cell, bold in zip(linked[accuracy], best, strict=True)
        ]
        linked = linked.assign(**{accuracy: pd.Series(marked, index=linked.index, dtype=object)})
    first = [named, *([accuracy] if accuracy else [])]
    others = [heading for heading in linked.columns if heading not in first]
    same = [h for h in others if h not in KEPT and _constant(table.shown[h])]
    headings = [*first, *(heading for heading in others if heading not in same)]
    told = [f"{heading}: {table.shown[heading].iloc[0]}" for heading in same]
    told = [text for text in told if not text.endswith(": –")]
    rows = linked[headings].to_numpy(dtype=object).tolist()
    return PageTable(table.name, table.caption, headings, rows, told, any(best))


def _best_rows(table: Table) -> list[bool]:
    arms = [str(arm) for arm in table.data.get("arm", ())]
    if not table.best or len(arms) != len(table.shown):
        return []
    return [arm in table.best for arm in arms]


def _constant(column: pd.Series) -> bool:
    return len(column) > 1 and column.nunique() == 1


def plain(frame: pd.DataFrame, name: str, caption: str = "") -> PageTable:
    """A frame of text as it is, the naming column first."""
    named = next((heading for heading in NAMING if heading in frame), None)
    headings = [str(heading) for heading in frame.columns if heading != named]
    headings = [named, *headings] if named else headings
    rows: list[list[object]] = [
        [escape(cell) for cell in row] for row in frame[headings].to_numpy(dtype=object)
    ]
    return PageTable(name, caption, headings, rows, [], False)
