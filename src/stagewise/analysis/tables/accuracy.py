"""Every network that was not pruned, against its task's baseline; common rates have a table."""

import pandas as pd

from stagewise.analysis.claims.comparison import KD, effort
from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import COMPRESSION, TASKS, by_arm, display
from stagewise.analysis.tables.best import GIVEN, best_arms
from stagewise.analysis.tables.cells import (
    TRAINING_MACS,
    costs,
    difference_columns,
    interval,
    loss,
    spread,
    training_cost,
)
from stagewise.analysis.tables.table import Table

POSITION = 0
"""Place among the tables."""


def make(results: Results) -> Table:
    """Every network that was not pruned, against its task's baseline."""
    main = results.main
    main = main[~main["step"].isin(COMPRESSION) & main["common_rate"].isna()]
    data, shown = [], []
    for part in by_arm(main, "pair", "task"):
        baseline, effect = against_baseline(main, part)
        first, test = part.iloc[0], part["test_accuracy"]
        relative = _relative_macs(main, part)
        data.append(
            {
                **first[["pair", "task", "arm", "display", "exit", "weights"]],
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                "baseline": baseline,
                **difference_columns(effect),
                "validation_mean": part["validation_accuracy"].mean(),
                "training_macs_to_kd": relative,
                "parameters": first["parameters"],
                "macs": first["macs"],
                "file_bytes": part["file_bytes"].mean(),
            }
        )
        shown.append(
            {
                "Pair": first["pair"],
                "Task": TASKS[first["task"]],
                "Network": display(first),
                "Loss": loss(first),
                "Test accuracy, %": spread(test),
                "Minus baseline, points": interval(effect),
                "Validation, %": spread(part["validation_accuracy"]),
                **training_cost(relative),
                **costs(first),
            }
        )
    return Table(
        "accuracy",
        "Accuracy of every network: mean ± sd (seeds), and the paired difference to the task's "
        "baseline (student alone; on the target classes: pretrained, standard training) with its "
        f"95 % t interval. The ensemble stands for a network with exits. {TRAINING_MACS}",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        best=best_arms(rows for _, rows in main.groupby(["pair", "task"], sort=False)),
    )


def _relative_macs(main: pd.DataFrame, part: pd.DataFrame) -> float:
    """Multiply-adds of an arm's training over those of plain KD in its pair and task; NaN for what
    is given, and where records, or the study, have none."""
    first = part.iloc[0]
    if first["step"] in GIVEN or first["task"] not in KD:
        return float("nan")
    plain = main["arm"] == KD[first["task"]].format(pair=first["pair"])
    return float(effort(part).iloc[0] / effort(main[plain]).mean())
