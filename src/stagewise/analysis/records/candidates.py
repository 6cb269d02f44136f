"""``candidates.csv``: networks that may ship, and their reference, as files on one machine."""

from pathlib import Path

import pandas as pd

from stagewise.analysis.records.csv_files import MEND, TEXT, read_csv
from stagewise.errors import UserError
from stagewise.study.goals import QUANTITIES

CANDIDATE, REFERENCE = "candidate", "reference"
ROLES = (CANDIDATE, REFERENCE)
"""What may ship, and what it is measured against."""
FORMS = ("float32", "int8")
COLUMNS = (
    *("role", "pair", "network", "form", "ratio", "arm", "seed", "path"),
    *("validation_accuracy", "test_accuracy", *QUANTITIES, "latency_low", "latency_high", "others"),
)


def read_candidates(file: Path | str, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a file: its role, the run that it was made of (of a plan's ``runs``), accuracies in
    percent, and what it takes; ``others``: cores that other processes took while it was timed (NaN
    where that is not known).

    Raises:
        UserError: it is missing, broken, or of another plan.
    """
    words = {"role": ROLES, "form": FORMS}
    text = (*TEXT, "role", "pair", "form", "network")
    table = read_csv(file, COLUMNS, words, key=("role", "path", "form"), text=text)
    if strange := sorted({*table["path"]} - {*runs["path"]}):
        raise UserError(f"{file}: '{strange[0]:.80}' is no run of the plan; {MEND}")
    for role in ROLES:
        if role not in set(table["role"]):
            raise UserError(f"{file}: has no row of role '{role}'; {MEND}")
    return table
