"""Run records as the trainer leaves them: the plan's rows, logits, histories and shock logs.

Everything later in this room reads a study through here, so the checks on files live here too.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewise.errors import UserError
from stagewise.files import read_json

LABELS = (
    "pair",
    "task",
    "network",
    "method",
    "recipe",
    "display",
    "chain",
    "criterion",
    "ratio",
    "recovery",
    "tuned_arm",
    "rate",
)
TEXT = ("exit", *(label for label in LABELS if label not in ("ratio", "rate")))
SPLITS = ("validation", "test")
FINAL, ENSEMBLE = "final", "ensemble"


@dataclass(frozen=True)
class Logits:
    """One split of a run: ``logits`` (exits, images, classes) float32, ``labels`` (images,)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """A plan and the project folder that its run paths are relative to.

    ``runs`` has a row per run: path, arm, step, name, seed, reference, the labels.
    """

    title: str
    name: str
    config: dict[str, Any]
    runs: pd.DataFrame
    root: Path

    def folder(self, path: str) -> Path:
        """A run's folder."""
        return self.root / path

    def record(self, path: str) -> dict[str, Any]:
        """A run's ``record.json``; raises ``UserError`` where it is missing or broken."""
        record: dict[str, Any] = read_json(self.folder(path) / "record.json")
        return record


def read_study(plan: Path | str, root: Path | str = ".") -> Study:
    """Read ``plan.json``; raises ``UserError`` where it is missing, broken or empty."""
    content = read_json(plan)
    try:
        rows, config = content["runs"], content["config"]
        name, title = content["study"], content.get("title") or content["study"]
    except (KeyError, TypeError):
        raise UserError(f"{plan}: is no study plan; delete it and run again") from None
    if not rows:
        raise UserError(f"{plan}: the study has no runs; add pairs or steps to its config")
    runs = pd.DataFrame(rows)
    for label in LABELS:
        missing = np.nan if label in ("ratio", "rate") else ""
        runs[label] = runs[label].fillna(missing) if label in runs else missing
    return Study(title, name, config, runs, Path(root))


def read_logits(folder: Path) -> dict[str, Logits]:
    """Split name to its logits and labels.

    Raises:
        UserError: ``logits.npz`` is missing, corrupted, or its arrays do not fit together.
    """
    file = folder / "logits.npz"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            splits = {s: Logits(arrays[s], arrays[f"{s}_labels"]) for s in SPLITS}
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"{file}: corrupted logits ({error}); delete {folder} and run again"
        ) from None
    for split, part in splits.items():
        if part.logits.ndim != 3 or part.logits.shape[1:2] != part.labels.shape:
            raise UserError(
                f"{file}: {split} has logits {part.logits.shape} and labels {part.labels.shape}, "
                f"expected (exits, images, classes) and (images,); delete {folder} and run again"
            )
    return splits


def read_table(file: Path | str, required: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV; raises ``UserError`` where it is missing, broken or lacks a column.

    ``exit`` stays text ("1" … "K", "ensemble", "final") and empty text cells stay empty.
    """
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(TEXT, str))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a readable CSV ({error}); delete it and run again") from None
    missing = [column for column in required if column not in table]
    if missing:
        raise UserError(f"{file}: lacks column '{missing[0]}'; delete it and run again")
    for column in table.columns:
        if table[column].dtype == object or isinstance(table[column].dtype, pd.StringDtype):
            table[column] = table[column].fillna("")
    return table


def exit_names(count: int) -> list[str]:
    """Names of a network's outputs, in the order of ``record.json``'s costs."""
    return [FINAL] if count == 1 else [*(str(k + 1) for k in range(count)), ENSEMBLE]


def main_exit(exits: pd.Series) -> str:
    """The output that stands for a network: its ensemble where it has exits."""
    return ENSEMBLE if ENSEMBLE in set(exits) else FINAL
