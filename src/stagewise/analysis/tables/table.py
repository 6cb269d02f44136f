"""What a result table is, and how the tables of a study are found and made."""

import importlib
from dataclasses import dataclass

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.results import Results


@dataclass(frozen=True)
class Table:
    """``data``: plain numbers. ``shown``: the same as text, with the headings that readers see.

    ``best``: arms whose accuracy is the best of their ``group``, or not shown to differ from it.
    ``empty``: what stands in the place of a table without rows. ``warning``: what who makes the
    table should know, if anything.
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    empty: str = "This study has no such runs."
    warning: str = ""
    best: frozenset[str] = frozenset()
    group: str = "pair and task"


def make_table(name: str, results: Results) -> Table:
    """The table that the file ``name`` of this room makes."""
    module = importlib.import_module(catalogue.module_name(catalogue.tables()[name]))
    table: Table = module.make(results)
    return table


def make_tables(results: Results) -> list[Table]:
    """Every table, in the order of ``study.md``."""
    return [make_table(name, results) for name in catalogue.tables()]
