"""CSV files of runs and results, read with the types that they were written with."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from stagewise.analysis.records.labels import LABELS
from stagewise.errors import UserError
from stagewise.files import read_bounded

LARGEST_CSV = 256 * 2**20
"""Bytes of the largest table that is read: the summary of some 500,000 rows."""

TEXT = (
    *("exit", "path", "arm", "split", "claim", "role", "verdict", "device"),
    *("loss", "weights", "dtype", "selection", "config_hash", "code"),
    *("model_sha256", "teacher_sha256", "data_sha256"),
    *("paper", "title", "claim_verdict", "contrast", "unit", "treatment", "control"),
    *("treatment_exit", "control_exit", "reason", "wording", "source", "missing", "note"),
    *(label for label, absent in LABELS.items() if absent == ""),
)
"""Columns that stay text whatever they look like."""

WHOLE = ("seed", "epoch", "batch", "parameters", "macs", "file_bytes", "n", "diverged")
"""Columns that hold a whole number in every row."""

LARGEST = 2**53
"""The whole numbers up to it are exact in a table."""

EXITS = r"final|ensemble|[1-9][0-9]{0,3}"
"""What an output of a network is called."""

MEND = "delete it and run again"


def read_csv(
    file: Path | str,
    required: tuple[str, ...] = (),
    words: Mapping[str, tuple[str, ...]] | None = None,
    key: tuple[str, ...] = (),
    text: tuple[str, ...] = TEXT,
) -> pd.DataFrame:
    """Read a CSV. Names stay text, also the "1" … "K" of exits, and empty text stays empty.

    ``words``: column → all that it may hold. ``key``: columns that no two rows have alike.
    ``text``: columns that are no numbers.

    Raises:
        UserError: it is missing, broken, no regular file or too large, or lacks a column, or a
            required column holds what it cannot.
    """
    try:
        content = read_bounded(file, LARGEST_CSV)
        table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys(text, str), low_memory=False)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run the step that writes it") from None
    except (OSError, ValueError, OverflowError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{file}: not a readable CSV ({str(said).strip()}); {MEND}") from None
    missing = [column for column in required if column not in table]
    if missing:
        raise UserError(f"{file}: lacks column '{missing[0]}'; {MEND}")
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{file}: has rows longer than its header; {MEND}")
    for column in required:
        if problem := "" if column in text else _no_numbers(table[column], column in WHOLE):
            raise UserError(f"{file}: column '{column}' holds {problem}; {MEND}")
    for column in table.columns:
        if table[column].dtype == object or isinstance(table[column].dtype, pd.StringDtype):
            table[column] = table[column].fillna("")
    for column, known in (words or {}).items():
        if odd := sorted({*table[column].astype(str)} - {*known}):
            raise UserError(f"{file}: column '{column}' holds '{odd[0]:.40}'; {MEND}")
    if "exit" in required and not table["exit"].str.fullmatch(EXITS).all():
        raise UserError(f"{file}: column 'exit' holds something else than exits; {MEND}")
    if key and table.duplicated([*key]).any():
        raise UserError(f"{file}: has two rows of one {', '.join(key)}; {MEND}")
    return table


def _no_numbers(column: pd.Series, whole: bool) -> str:
    """What else than numbers a column holds, or nothing; all may lack but whole ones."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "something else than numbers"
    values = column.to_numpy(dtype=np.float64)
    if np.isinf(values).any():
        return "a number beyond all bounds"
    if whole and not ((np.abs(values) <= LARGEST) & (values == np.floor(values))).all():
        return "something else than whole numbers"
    return ""
