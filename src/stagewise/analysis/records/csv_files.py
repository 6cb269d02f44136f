"""CSV files of runs and results, read with the types that they were written with."""

from pathlib import Path

import pandas as pd

from stagewise.analysis.records.labels import LABELS
from stagewise.errors import UserError

TEXT = (
    *("exit", "path", "arm", "split", "claim", "role", "verdict", "device"),
    *("loss", "weights"),
    *(label for label, absent in LABELS.items() if absent == ""),
)
"""Columns that stay text whatever they look like."""


def read_csv(file: Path | str, required: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV. Names stay text, also the "1" … "K" of exits, and empty text stays empty.

    Raises:
        UserError: it is missing, broken, or lacks a column, or a required column that is no text
            holds anything but numbers.
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
