"""Published accuracies, as data: ``published_values.csv``, a row per value.

Columns: ``dataset``; ``teacher`` and ``student``, networks of the zoo (a teacher alone has no
student, a student alone no teacher); ``method``, named as its file; ``plus_kd``, whether the value
is of "method + KD", empty where the source does not say; ``kd_weight``, of the soft-target term as
far as known; ``exit`` (``final``, ``ensemble`` or the exit's number); ``value``, top-1 test
accuracy, percent; ``sd`` and ``n`` over runs, as far as printed; ``protocol``, the epoch that is
reported; ``source``, ``address``, ``note``.

The same method has other numbers with and without KD, and at the best and the last epoch, so a row
says which it is.
"""

from functools import cache
from importlib.resources import files

import pandas as pd

from stagewise.errors import UserError
from stagewise.schemas import checked

KEY = ["dataset", "teacher", "student", "method", "plus_kd", "exit"]
"""What two values must share to be of the same thing."""

BEST_EPOCH = "best epoch"
PLUS_KD = {"true": True, "false": False, "": None}
NUMBERS = ("kd_weight", "value", "sd", "n")


@cache
def load_published_values() -> pd.DataFrame:
    """The packaged ``published_values.csv``; text is empty and numbers are NaN where unknown.

    Raises:
        UserError: a row does not fit the schema, or two rows are the same value of a source.
    """
    file = files("stagewise.papers").joinpath("published_values.csv")
    with file.open(encoding="utf-8") as stream:
        return parse_published_values(pd.read_csv(stream, dtype=str, keep_default_na=False))


def parse_published_values(text: pd.DataFrame) -> pd.DataFrame:
    """``text``, a row per value and all cells text, checked and with numbers as numbers."""
    table = text.assign(plus_kd=text["plus_kd"].map(lambda cell: PLUS_KD.get(cell, cell)))
    for column in NUMBERS:
        table[column] = pd.to_numeric(table[column], errors="coerce").where(table[column] != "")
    known = [
        {column: cell for column, cell in row.items() if cell is not None and cell == cell != ""}
        for row in table.to_dict("records")
    ]
    checked(
        known,
        "papers/published_values.schema.yaml",
        "published_values.csv: a row is wrong",
        "correct it",
    )
    twice = table[table.duplicated([*KEY, "protocol", "source"])]
    if len(twice):
        line = twice.index[0] + 2
        raise UserError(f"published_values.csv: line {line} repeats a value of its source")
    return table
