"""Pruned and recovered networks of each chain, against the dense student that was pruned."""

import pandas as pd

from stagewise.analysis.claims.contrasts import paired_to
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import dense_students, pruned_student, shape
from stagewise.analysis.tables.best import best_arms
from stagewise.analysis.tables.cells import (
    count,
    counts,
    difference_columns,
    interval,
    loss,
    spread,
)
from stagewise.analysis.tables.table import Table

POSITION = 2
"""Place among the tables."""


def make(results: Results) -> Table:
    """Pruned and recovered networks of each chain, against the dense student that was pruned."""
    main, runs = results.main, results.study.runs
    data, shown, groups = [], [], []
    sparse = bool((main["recovery"] == "group_sl").any())
    for (pair, chain), chained in main[main["chain"] != ""].groupby(["pair", "chain"], sort=False):
        dense = dense_students(runs, main, chained)
        groups += [part for _, part in chained.groupby("ratio", sort=False)]
        reference = runs.set_index("path").loc[chained["path"].iloc[0], "reference"]
        teacher = main[main["path"] == reference]
        beside = chained[(chained["criterion"] == "dense") & (chained["recovery"] == "kd")]
        for arm, part in [("", dense), *chained.groupby("arm", sort=False)]:
            effect = paired_to(part, dense if arm else dense.iloc[:0], "test_accuracy")
            first = part.iloc[0]
            smaller = first["criterion"] not in ("", "dense")
            extra = beside[beside["family"] == first["family"]]
            fair = paired_to(part, extra if smaller else extra.iloc[:0], "test_accuracy")
            macs, parameters = part["macs"].mean(), part["parameters"].mean()
            speed_up = dense["macs"].mean() / macs
            total_macs = teacher["macs"].mean() / macs
            total_parameters = teacher["parameters"].mean() / parameters
            test = part["test_accuracy"]
            data.append(
                {
                    "pair": pair,
                    "chain": chain,
                    "arm": first["arm"],
                    "criterion": first["criterion"],
                    "ratio": first["ratio"],
                    "recovery": first["recovery"],
                    "weights": first["weights"],
                    "mean": test.mean(),
                    "sd": test.std(),
                    "n": len(part),
                    **difference_columns(effect),
                    **{f"fair_{key}": value for key, value in difference_columns(fair).items()},
                    "validation_mean": part["validation_accuracy"].mean(),
                    "parameters": parameters,
                    "macs": macs,
                    "macs_ratio_to_dense": speed_up,
                    "macs_ratio_to_teacher": total_macs,
                    "parameters_ratio_to_teacher": total_parameters,
                }
            )
            shown.append(
                {
                    "Pair": pair,
                    "Chain": pruned_student(str(chain)),
                    "Shape": shape(first),
                    "Network": first["display"] if arm else "the student that is pruned",
                    "Loss": loss(first),
                    "Test accuracy, %": spread(test),
                    "Minus that student, points": interval(effect),
                    "Minus dense with KD, points": interval(fair),
                    "Parameters": counts(part["parameters"]),
                    "MACs": f"{count(macs)} ({speed_up:.1f}× fewer)",
                    "Teacher's MACs ÷": f"{total_macs:.1f}",
                    "Teacher's parameters ÷": f"{total_parameters:.1f}",
                }
            )
    return Table(
        "pruning",
        "Pruning and recovery with as many epochs for each recovery, against the student that was "
        "pruned, and, as is fair to what KD gives by itself, against that student with the same "
        "extra epochs of KD, at the same rates. "
        + "Students of group_sl first learn sparse channels, for as many epochs. "
        * sparse
        + "The two-stage chain is the hybrid compression of "
        "paper A: the last two columns are its total reduction against the teacher.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        best=best_arms(groups),
        group="pair, chain and ratio",
    )
