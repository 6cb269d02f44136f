"""Published accuracies, as data: ``references.csv``, a row per value.

Columns: ``dataset``; ``teacher`` and ``student``, networks of the zoo (a teacher alone has no
student, a student alone no teacher); ``method``, named as its file; ``plus_kd``, whether the value
is of "method + KD", empty where the source does not say; ``kd_weight``, of the soft-target term as
far as known; ``exit`` (``final``, ``ensemble`` or the exit's number); ``value``, top-1 test
accuracy, percent; ``sd`` and ``n`` over runs, as far as printed; ``protocol``, the epoch that is
reported; ``source``, ``address``, ``note``.

The same method has other numbers with and without KD, and at the best and the last epoch. So a
row says which it is, and ``compare`` never pairs a "method" with a "method + KD".
"""

from functools import cache
from importlib.resources import files

import pandas as pd

from stagewise.analysis.records.study import checked
from stagewise.errors import UserError

KEY = ["dataset", "teacher", "student", "method", "plus_kd", "exit"]
"""What two values must share to be of the same thing."""

KD = {"true": True, "false": False, "": None}
NUMBERS = ("kd_weight", "value", "sd", "n")
BEST_EPOCH = "best epoch"
BIAS = (
    "Best epochs on test read about 0.3 points higher than last epochs (0.32 on average over 54 "
    "public training logs, 0.09 to 1.01), so a difference of that size means nothing."
)


@cache
def load_references() -> pd.DataFrame:
    """The packaged ``references.csv``; text is empty and numbers are NaN where unknown.

    Raises:
        UserError: a row does not fit the schema, or two rows are the same value of a source.
    """
    with files("stagewise.papers").joinpath("references.csv").open(encoding="utf-8") as stream:
        return parse_references(pd.read_csv(stream, dtype=str, keep_default_na=False))


def parse_references(text: pd.DataFrame) -> pd.DataFrame:
    """``text``, a row per value and all cells text, checked and with numbers as numbers."""
    table = text.assign(plus_kd=text["plus_kd"].map(lambda cell: KD.get(cell, cell)))
    for column in NUMBERS:
        table[column] = pd.to_numeric(table[column], errors="coerce").where(table[column] != "")
    known = [
        {column: cell for column, cell in row.items() if cell is not None and cell == cell != ""}
        for row in table.to_dict("records")
    ]
    checked("references", known, "references.csv: a row is wrong", "correct it")
    twice = table[table.duplicated([*KEY, "protocol", "source"])]
    if len(twice):
        raise UserError(f"references.csv: line {twice.index[0] + 2} repeats a value of its source")
    return table


def compare(measured: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Measured rows beside every published value of the same ``KEY``, in measured order.

    ``measured`` has ``KEY``, ``mean`` (percent) and ``selection`` (the epoch that is reported).
    Added: the columns of ``references``, ``difference`` (measured minus published, points) and
    ``protocol_differs``. A value that may or may not include KD stands beside both; its note says
    so.
    """
    unclear = references["plus_kd"].isna()
    both = [references[unclear].assign(plus_kd=value) for value in (False, True)]
    told = pd.concat([references[~unclear], *both])
    told["plus_kd"] = told["plus_kd"].astype(bool)
    table = measured.merge(told, on=KEY, suffixes=("", "_published"))
    table["difference"] = table["mean"] - table["value"]
    table["protocol_differs"] = table["protocol"] != table["selection"]
    return table


def protocol_warning(compared: pd.DataFrame) -> str:
    """What to bear in mind of ``compare``'s rows; empty where the protocols are the same."""
    count = int((compared["protocol_differs"] & (compared["protocol"] == BEST_EPOCH)).sum())
    if not count:
        return ""
    return f"{count} of {len(compared)} published values are of the best epoch on test. {BIAS}"
