"""The methods of a pair, best first: accuracy, differences as families of tests, costs."""

from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.comparison import (
    ALONE,
    PairComparison,
    comparisons,
    effort,
    settings,
)
from stagewise.analysis.claims.families import COLUMNS
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.best import best_arms
from stagewise.analysis.tables.cells import TRAINING_MACS, costs, count, loss, spread, training_cost
from stagewise.analysis.tables.table import Table

POSITION = 8
"""Place among the tables."""


def p_shown(value: float) -> str:
    """A p-value as text."""
    return "–" if not np.isfinite(value) else f"{value:.3f}" if value >= 0.001 else "<0.001"


def difference_shown(row: pd.Series) -> str:
    """``+1.2 [+0.3, +2.1], p 0.031``: a member of a family; a dash for an arm that is none."""
    if not np.isfinite(row["mean"]):
        return "–"
    bracket = f" [{number(row['low'], 1)}, {number(row['high'], 1)}]"
    known = bracket if np.isfinite(row["low"]) else ""
    return f"{number(row['mean'], 1)}{known}, p {p_shown(row['p_adjusted'])}"


def relative_macs(pair: PairComparison) -> pd.Series:
    """Arm → training multiply-adds, teacher's answers included, over those of plain KD; NaN where
    the records, or the study, have none."""
    macs = effort(pair.rows.drop_duplicates("arm").set_index("arm"))
    return macs / pair.plain_macs


def make(results: Results) -> Table:
    """Every method of each pair and task, and the student alone."""
    asked = settings(results.study.config)
    data, shown = [], []
    for pair in comparisons(results):
        families = {name: pair.family(arm) for name, arm in pair.references.items()}
        relative = relative_macs(pair)
        for arm in pair.ranked:
            part = pair.part(arm)
            first, test = part.iloc[0], part["test_accuracy"]
            members = {name: found.reindex([arm]).iloc[0] for name, found in families.items()}
            data.append(
                {
                    "pair": pair.pair,
                    "task": pair.task,
                    **first[["arm", "display", "method", "weights"]],
                    "mean": test.mean(),
                    "sd": test.std(),
                    "n": len(part),
                    **_flat(members),
                    "training_macs_to_kd": relative[arm],
                    **first[["training_macs", "teacher_macs", "method_parameters"]],
                    "parameters": first["parameters"],
                    "macs": first["macs"],
                }
            )
            shown.append(
                {
                    "Pair": pair.title,
                    "Method": pair.names[arm],
                    "Loss": loss(first),
                    "Test accuracy, %": spread(test),
                    **{
                        f"Minus {_named(name)}, points": difference_shown(member)
                        for name, member in members.items()
                    },
                    **training_cost(relative[arm]),
                    "Extra parameters": count(first["method_parameters"])
                    if np.isfinite(first["method_parameters"])
                    else "–",
                    **costs(first),
                }
            )
    references = " and ".join(_named(name) for name in asked.references)
    compared = ", ".join(asked.methods) or "every method of distillation and multi_exit, no control"
    return Table(
        "comparison",
        "Methods compared, the best mean first: mean ± sd (seeds), and paired differences to "
        f"{references}, each a family of tests in each pair (members: {compared}): simultaneous "
        "95 % t intervals (Šidák), and p adjusted over the family by the step-down max-T procedure "
        "of joint sign flips (Westfall–Young), whose least value does not grow with the family. "
        "Near 5 % one of the two may decide where the other does not. "
        f"{TRAINING_MACS} Extra parameters: trained with the student, and then thrown away. "
        "A method that lacks a seed of the reference is no member.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="This study has no methods to compare.",
        best=best_arms(pair.rows for pair in comparisons(results)),
    )


def _named(reference: str) -> str:
    return {ALONE: "student alone", "kd": "KD"}.get(reference, reference)


def _flat(members: dict[str, pd.Series]) -> dict[str, Any]:
    return {
        f"{name}_{column}": member[column] for name, member in members.items() for column in COLUMNS
    }
