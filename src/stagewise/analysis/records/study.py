"""Run records as the trainer leaves them: the plan's rows, logits, histories and shock logs.

Everything later in this room reads a study through here, so the checks on files live here too.
"""

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tokenize import TokenError
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import yaml
from jsonschema.protocols import Validator
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
TEXT = (
    *("exit", "path", "arm", "split", "claim", "role", "verdict", "device"),
    *("loss", "weights"),
    *(label for label in LABELS if label not in ("ratio", "rate")),
)
SPLITS = ("validation", "test")
FINAL, ENSEMBLE = "final", "ensemble"
CORRUPTED = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError, TypeError),
    *(AttributeError, MemoryError, RuntimeError, SyntaxError, TokenError),
)
"""What numpy raises where an npz file is damaged, is another kind of file, or lies about sizes."""


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

    def record(self, path: str) -> dict[str, Any]:
        """A run's ``record.json``; raises ``UserError`` where it is missing or broken."""
        file = self.folder(path) / "record.json"
        record: dict[str, Any] = checked(
            "record",
            read_json(file),
            f"{file}: is no record",
            f"delete {file.parent} and run again",
        )
        return record

    def timing(self, path: str) -> dict[str, Any]:
        """A run's ``timing.json``, which may differ between equal runs; empty where it is missing.

        Raises:
            UserError: it is broken.
        """
        file = self.folder(path) / "timing.json"
        if not file.is_file():
            return {}
        problem, mend = f"{file}: is no timing", f"delete {file}"
        timing: dict[str, Any] = checked("timing", read_json(file), problem, mend)
        return timing


@cache
def _validator(kind: str) -> Validator:
    text = (
        files("stagewise.analysis.records")
        .joinpath("files.schema.yaml")
        .read_text(encoding="utf-8")
    )
    return jsonschema.Draft202012Validator(yaml.safe_load(text)[kind])


def checked(kind: str, content: Any, problem: str, mend: str) -> Any:
    """``content`` where it fits the schema of its kind of file; else ``UserError``."""
    error = jsonschema.exceptions.best_match(_validator(kind).iter_errors(content))
    if error:
        key = ".".join(map(str, error.absolute_path)) or "(top level)"
        raise UserError(f"{problem} ({key}: {error.message[:200]}); {mend}")
    return content


def read_study(plan: Path | str, root: Path | str = ".") -> Study:
    """Read ``plan.json``; raises ``UserError`` where it is missing, broken or empty."""
    content = checked(
        "plan", read_json(plan), f"{plan}: is no study plan", "delete it and run again"
    )
    rows, config = content["runs"], content["config"]
    name, title = content["study"], content.get("title") or content["study"]
    if not rows:
        raise UserError(f"{plan}: the study has no runs; add pairs or steps to its config")
    runs = pd.DataFrame(rows)
    for label in LABELS:
        missing = np.nan if label in ("ratio", "rate") else ""
        runs[label] = runs[label].fillna(missing) if label in runs else missing
    return Study(title, name, config, runs, Path(root))


def read_logits(folder: Path, names: Iterable[str] = SPLITS) -> dict[str, Logits]:
    """Split name to its logits and labels, for the splits ``names``.

    Raises:
        UserError: ``logits.npz`` is missing, corrupted, or its arrays do not fit together.
    """
    file = folder / "logits.npz"
    mend = f"delete {folder} and run again"
    try:
        with np.load(file, allow_pickle=False) as arrays:
            splits = {s: Logits(_array(arrays, s), _array(arrays, f"{s}_labels")) for s in names}
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except CORRUPTED as error:
        raise UserError(f"{file}: corrupted logits ({error}); {mend}") from None
    for split, part in splits.items():
        if part.logits.ndim != 3 or part.logits.shape[1:2] != part.labels.shape:
            raise UserError(
                f"{file}: {split} has logits {part.logits.shape} and labels {part.labels.shape}, "
                f"expected (exits, images, classes) and (images,); {mend}"
            )
        if part.logits.dtype.kind != "f" or part.labels.dtype.kind not in "iu":
            raise UserError(
                f"{file}: {split} has logits of type {part.logits.dtype} and labels of type "
                f"{part.labels.dtype}, expected floats and whole numbers; {mend}"
            )
        exits, images, classes = part.logits.shape
        if 0 in part.logits.shape or not 0 <= part.labels.min() <= part.labels.max() < classes:
            raise UserError(
                f"{file}: {split} has {exits} exits, {images} images and {classes} classes, or "
                f"labels that are none of these; {mend}"
            )
    shapes = [(part.logits.shape[0], part.logits.shape[2]) for part in splits.values()]
    if len(set(shapes)) > 1:
        raise UserError(
            f"{file}: its splits have {' and '.join(map(str, shapes))} exits and classes; {mend}"
        )
    return splits


def _array(arrays: Any, name: str) -> NDArray[Any]:
    """An array of an npz file, whose members can be anything."""
    array = arrays[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"'{name}' is no array")
    return array


def read_table(file: Path | str, required: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV; raises ``UserError`` where it is missing, broken or lacks a column, or where a
    required column that is no text holds anything but numbers.

    ``exit`` stays text ("1" … "K", "ensemble", "final") and empty text cells stay empty.
    """
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(TEXT, str))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except (OSError, ValueError, OverflowError) as error:
        reason = str(error).strip()
        raise UserError(f"{file}: not a readable CSV ({reason}); delete it and run again") from None
    missing = [column for column in required if column not in table]
    if missing:
        raise UserError(f"{file}: lacks column '{missing[0]}'; delete it and run again")
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{file}: has rows longer than its header; delete it and run again")
    for column in required:
        if column not in TEXT and not pd.api.types.is_numeric_dtype(table[column]):
            raise UserError(
                f"{file}: column '{column}' holds something else than numbers;"
                " delete it and run again"
            )
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


def exit_called(exits: pd.Series, name: str) -> str:
    """An output's name in the records: ``main`` and ``last`` depend on the network."""
    if name == "main":
        return main_exit(exits)
    if name == "last":
        numbered = [exit_ for exit_ in set(exits) if exit_.isdigit()]
        return max(numbered, key=int) if numbered else FINAL
    return name
