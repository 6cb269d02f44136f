"""Tables as the page shows them: laid out, each number a link to its runs."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup, escape

from stagewise.analysis.report.provenance import Provenance
from stagewise.analysis.tables.layout import layout, name_heading
from stagewise.analysis.tables.table import Table


@dataclass(frozen=True)
class PageTable:
    """``rows``: cells, the name first."""

    name: str
    caption: str
    headings: list[str]
    rows: list[list[object]]


def page_table(table: Table, provenance: Provenance) -> PageTable:
    """A table for the page, each number linked to its runs."""
    plan = layout(table)
    cells = plan.of(provenance.linked(table), Markup("<strong>{}</strong>").format)
    rows = cells.to_numpy(dtype=object).tolist()
    return PageTable(table.name, plan.caption, plan.headings, rows)


def plain(frame: pd.DataFrame, name: str, caption: str = "") -> PageTable:
    """A frame of text as it is, the naming column first."""
    headings = [str(heading) for heading in frame.columns]
    if named := name_heading(headings):
        headings = [named, *(heading for heading in headings if heading != named)]
    rows: list[list[object]] = [
        [escape(cell) for cell in row] for row in frame[headings].to_numpy(dtype=object)
    ]
    return PageTable(name, caption, headings, rows)
