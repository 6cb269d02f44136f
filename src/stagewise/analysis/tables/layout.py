"""How readers see a table, on the page, in Markdown and in LaTeX: the name first, accuracy second,
nothing that is the same in every row, and the best in bold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stagewise.analysis.tables.table import Table

NAMING = ("Network", "Method", "Recipe", "Candidate", "Step", "Run")
"""Headings of the column that names a row: the first of these that a table has."""
ACCURACY = ("Test accuracy, %", "Measured, %", "Ours, %")
KEPT = ("Parameters", "MACs")
"""Headings that stay though all rows are equal: readers look for them."""


@dataclass(frozen=True)
class Layout:
    """``headings``: those that are shown, in their order. ``same``: what was left out, as
    ``heading: value``. ``accuracy``: the heading of what may be bold, empty where there is none.
    ``bold``: for each row whether it is. ``caption``: the table's own, and what it has to say of
    this."""

    headings: list[str]
    same: list[str]
    accuracy: str
    bold: list[bool]
    caption: str

    def of(self, cells: pd.DataFrame, mark: Callable[[Any], object]) -> pd.DataFrame:
        """A table's cells as they are laid out, those that are bold as ``mark`` makes them."""
        found = cells[self.headings]
        if not any(self.bold):
            return found
        marked = [
            mark(cell) if bold else cell
            for cell, bold in zip(found[self.accuracy], self.bold, strict=True)
        ]
        return found.assign(**{self.accuracy: pd.Series(marked, found.index, dtype=object)})


def name_heading(headings: Sequence[str]) -> str:
    """The heading of the column that names a row; empty where none does."""
    return next((heading for heading in NAMING if heading in headings), "")


def layout(table: Table) -> Layout:
    """How a table is laid out."""
    shown = table.shown
    if shown.empty:
        return Layout([], [], "", [], table.caption)
    every = [str(heading) for heading in shown.columns]
    accuracy = next((heading for heading in ACCURACY if heading in every), "")
    first = [name_heading(every) or every[0], *([accuracy] if accuracy else [])]
    others = [heading for heading in every if heading not in first]
    constant = [h for h in others if h not in KEPT and len(shown) > 1 and shown[h].nunique() == 1]
    told = [f"{heading}: {shown[heading].iloc[0]}" for heading in constant]
    same = [text for text in told if not text.endswith(": –")]
    bold = _best_rows(table) if accuracy else [False] * len(shown)
    return Layout(
        [*first, *(heading for heading in others if heading not in constant)],
        same,
        accuracy,
        bold,
        with_notes(table.caption, same, table.group if any(bold) else ""),
    )


def with_notes(caption: str, same: Sequence[str], group: str = "") -> str:
    """A caption that says of which ``group`` of rows the best are bold, and what is left out."""
    parts = [caption]
    if group:
        parts.append(f"Bold: the best of its {group}, and what is not shown to be worse.")
    if same:
        parts.append(f"In all rows: {'; '.join(same)}.")
    return " ".join(parts)


def _best_rows(table: Table) -> list[bool]:
    arms = [str(arm) for arm in table.data.get("arm", ())]
    if len(arms) != len(table.shown):
        return [False] * len(table.shown)
    return [arm in table.best for arm in arms]
