"""Every network that was not pruned, against its task's baseline; common rates have a table."""

import pandas as pd

from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import COMPRESSION, TASKS, by_arm, display
from stagewise.analysis.tables.best import best_arms
from stagewise.analysis.tables.cells import costs, difference_columns, interval, loss, spread
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
        data.append(
            {
                **first[["pair", "task", "arm", "display", "exit", "weights"]],
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                "baseline": baseline,
                **difference_columns(effect),
                "validation_mean": part["validation_accuracy"].mean(),
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
                **costs(first),
            }
        )
    return Table(
        "accuracy",
        "Accuracy of every network: mean ± sd (seeds), and the paired difference to the task's "
        "baseline (student alone; on the target classes: pretrained, standard training) with its "
        "95 % t interval. The ensemble stands for a network with exits.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        best=best_arms(rows for _, rows in main.groupby(["pair", "task"], sort=False)),
    )
