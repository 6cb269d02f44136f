"""Where a number comes from: the runs behind it, and what each of them was made from."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup, escape

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import full_name
from stagewise.analysis.records.logits import FINAL
from stagewise.analysis.tables.table import Table

DIGITS = 12
"""Hex digits of a checksum that the page shows; the record holds all of them."""
ARM = re.compile(r"\b[a-z_]+/[\w.*-]*\w")
NUMBER = re.compile(r"[+−]?\d")
NAMES = ("Exit",)
"""Headings of numbers that are only names."""


@dataclass(frozen=True)
class RunEntry:
    """A run as the page shows it; ``record`` is an address relative to the page.

    ``parents``: role and anchor of the runs that it was made from.
    """

    anchor: str
    path: str
    seed: int
    accuracy: str
    settings: dict[str, str]
    hashes: dict[str, str]
    parents: list[tuple[str, str]]
    record: str


@dataclass(frozen=True)
class ArmEntry:
    """All seeds of a network."""

    anchor: str
    name: str
    display: str
    pair: str
    task: str
    runs: list[RunEntry]


@dataclass(frozen=True)
class Provenance:
    """The runs of a study by arm, each with an anchor in the page that lies in ``folder``."""

    results: Results
    folder: Path

    @cached_property
    def run_anchors(self) -> dict[str, str]:
        """A run's path → its anchor."""
        paths = self.results.study.runs["path"]
        return {path: f"run-{number}" for number, path in enumerate(paths, 1)}

    @cached_property
    def arm_anchors(self) -> dict[str, str]:
        """An arm → its anchor."""
        arms = self.results.study.runs["arm"].unique()
        return {arm: f"arm-{number}" for number, arm in enumerate(arms, 1)}

    @cached_property
    def names(self) -> dict[str, str]:
        """An arm → what readers call it."""
        first = self.results.main.drop_duplicates("arm")
        return {str(run["arm"]): full_name(run) for _, run in first.iterrows()}

    def in_words(self, text: str) -> str:
        """A text with the names that readers know in the place of arms."""
        return ARM.sub(lambda found: self.names.get(found[0], found[0]), text)

    @cached_property
    def arms(self) -> list[ArmEntry]:
        """Every arm of the study that was summarised, in plan order."""
        main = self.results.main
        parents = self.results.study.runs.set_index("path")["parents"]
        shown = []
        for name, part in main.groupby("arm", sort=False):
            first = part.iloc[0]
            runs = [self._run(row, parents[row["path"]]) for _, row in part.iterrows()]
            labels = (full_name(first), first["pair"], first["task"])
            shown.append(ArmEntry(self.arm_anchors[str(name)], str(name), *labels, runs))
        return shown

    def _run(self, row: pd.Series, parents: dict[str, str]) -> RunEntry:
        record = self.results.study.folder(row["path"]) / "record.json"
        anchors = self.run_anchors  # ImageNet weights, a parent too, have none
        epochs = str(row["epochs"]).removesuffix(".0").replace("nan", "")
        hashes = {
            "Settings": row["config_hash"],
            "Code": row["code"],
            "Weights": row["model_sha256"],
            "Data": row["data_sha256"],
        }
        return RunEntry(
            anchors[row["path"]],
            row["path"],
            row["seed"],
            self._accuracies(row["path"]),
            {"Rate": f"{row['lr']:g}" if pd.notna(row["lr"]) else "", "Epochs": epochs},
            {heading: str(digits)[:DIGITS] for heading, digits in hashes.items()},
            [(role, anchors[path]) for role, path in parents.items() if path in anchors],
            quote(Path(os.path.relpath(record, self.folder)).as_posix()),
        )

    def _accuracies(self, path: str) -> str:
        """``97.04``, or of each exit: ``1: 90.19 · 2: 95.37 · ensemble: 97.04``."""
        exits = self._exits.loc[[path]]
        values = [f"{value:.2f}" for value in exits["test_accuracy"]]
        if list(exits["exit"]) == [FINAL]:
            return values[0]
        return " · ".join(f"{a}: {v}" for a, v in zip(exits["exit"], values, strict=True))

    @cached_property
    def _exits(self) -> pd.DataFrame:
        return self.results.summary.set_index("path")[["exit", "test_accuracy"]]

    def link(self, text: str, anchors: Sequence[str], *, extra: bool = False) -> Markup:
        """``text`` as a link to the first of some anchors, which the page's script shows together.

        ``extra``: another link of the same row goes there too, so the keyboard passes over this.
        """
        also = f' data-and="{" ".join(anchors[1:])}"' if anchors[1:] else ""
        skip = ' tabindex="-1"' if extra else ""
        # Anchors are our own: a word and a number.
        return Markup(f'<a class="from" href="#{anchors[0]}"{also}{skip}>{escape(text)}</a>')

    def linked(self, table: Table) -> pd.DataFrame:
        """What a table shows, each number a link to its row's runs and to those of the baseline."""
        arms = [str(arm) for arm in table.data.get("arm", [])]
        if len(arms) != len(table.shown):  # a row per run there, a row per arm here
            arms = list(dict.fromkeys(arms))
        if len(arms) != len(table.shown) or not set(arms) <= set(self.arm_anchors):
            return table.shown
        baselines = list(table.data.get("baseline", ()))
        baselines = baselines if len(baselines) == len(arms) else [""] * len(arms)
        rows = [
            self._linked_row(row, self.arm_anchors[arm], self.arm_anchors.get(baseline, ""))
            for (_, row), arm, baseline in zip(table.shown.iterrows(), arms, baselines, strict=True)
        ]
        return pd.DataFrame(rows, columns=table.shown.columns)

    def _linked_row(self, row: pd.Series, anchor: str, baseline: str) -> list[object]:
        cells: list[object] = []
        seen = False
        for heading, cell in row.items():
            text = str(cell)
            if heading in NAMES or not NUMBER.match(text):
                cells.append(cell)
            elif baseline and text[0] in "+−":
                cells.append(self.link(text, [anchor, baseline]))
            else:
                cells.append(self.link(text, [anchor], extra=seen))
                seen = True
        return cells
