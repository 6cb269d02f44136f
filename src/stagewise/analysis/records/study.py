"""A study as its plan tells it, and the way to the files of its runs."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise.analysis.records.labels import LABELS
from stagewise.analysis.records.logits import SPLITS
from stagewise.analysis.records.run_files import RunFiles
from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.schemas import checked


@dataclass(frozen=True)
class Missing:
    """A planned run that is not there, and why, in words."""

    path: str
    arm: str
    seed: int
    why: str


@dataclass(frozen=True)
class Study:
    """A plan and the project folder that its run paths are relative to.

    ``config``: all settings, as plain JSON values. ``runs``: a row per run, in plan order: path,
    arm, step, name, seed, parents, reference, partner, spec (older plans have none), the labels.
    ``missing``: runs that results are made without, because they or their parents failed.
    """

    title: str
    name: str
    config: dict[str, Any]
    runs: pd.DataFrame
    root: Path
    missing: tuple[Missing, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that runs leave logits of: test alone where no images were held out."""
        return SPLITS if self.holds_out else ("test",)

    @property
    def holds_out(self) -> bool:
        """Whether there are validation images, on which choices can be made."""
        return bool(self.config["data"].get("validation") != 0)

    def folder(self, path: str) -> Path:
        """A run's folder."""
        return self.root / path

    def files(self, path: str) -> RunFiles:
        """What a run left; the same object, with what it has read, at every call."""
        return self._files.setdefault(path, RunFiles(self.folder(path)))

    @cached_property
    def _files(self) -> dict[str, RunFiles]:
        return {}


def read_study(plan: Path | str, root: Path | str = ".") -> Study:
    """Read ``plan.json``; raises ``UserError`` where it is missing, broken or empty."""
    problem, mend = f"{plan}: is no study plan", "delete it and run again"
    content = checked(read_json(plan), "analysis/records/plan.schema.yaml", problem, mend)
    rows, config = content["runs"], content["config"]
    name, title = content["study"], content.get("title") or content["study"]
    if not rows:
        raise UserError(f"{plan}: the study has no runs; add pairs or steps to its config")
    runs = pd.DataFrame(rows)
    if runs["path"].duplicated().any():
        raise UserError(f"{problem} (two of its runs have one path); {mend}")
    for run in rows:
        if run.get("pair", "") not in ("", *config["pairs"]):
            raise UserError(f"{problem} (its config has no pair '{run['pair']:.80}'); {mend}")
    for label, absent in LABELS.items():
        runs[label] = runs[label].fillna(absent) if label in runs else absent
    runs["partner"] = runs["partner"].fillna("") if "partner" in runs else ""
    missing = tuple(Missing(**run) for run in content.get("missing", ()))
    return Study(title, name, config, runs, Path(root), missing)
