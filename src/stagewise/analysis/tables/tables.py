"""Result tables of a study, each a function from its records; ``TABLES`` names them all."""

from collections.abc import Callable

import pandas as pd

from stagewise.analysis.records.shock import shock_table
from stagewise.analysis.records.study import FINAL, Study
from stagewise.analysis.records.summary import main_exits
from stagewise.analysis.tables.published import published
from stagewise.analysis.tables.table import (
    COMPRESSION,
    TASKS,
    Results,
    Table,
    against_baseline,
    by_arm,
    costs,
    count,
    dense_students,
    difference_columns,
    display,
    interval,
    loss,
    paired_to,
    shape,
    spread,
)


def accuracy(results: Results) -> Table:
    """Every network that was not pruned, against its task's baseline."""
    main = main_exits(results.summary)
    main = main[~main["step"].isin(COMPRESSION)]
    data, shown = [], []
    for part in by_arm(main, "pair", "task"):
        baseline, effect = against_baseline(main, part)
        first, test = part.iloc[0], part["test_accuracy"]
        data.append(
            {
                **first[["pair", "task", "arm", "exit", "weights"]],
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
        "Accuracy by arm: mean ± sd (seeds), and the paired difference to the task's baseline "
        "(student alone; on the target classes: pretrained, standard training) with its 95 % t "
        "interval. The ensemble stands for a network with exits.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def pruning(results: Results) -> Table:
    """Pruned and recovered networks of each chain, against the dense student that was pruned."""
    main = main_exits(results.summary)
    data, shown = [], []
    for (pair, chain), chained in main[main["chain"] != ""].groupby(["pair", "chain"], sort=False):
        dense = dense_students(results.study, main, chained)
        teacher = main[main["path"] == _reference(results.study, chained)]
        for arm, part in [("", dense), *chained.groupby("arm", sort=False)]:
            effect = paired_to(part, dense if arm else dense.iloc[:0], "test_accuracy")
            first = part.iloc[0]
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
                    "Chain": "two-stage student" if chain == "two_stage" else "student alone",
                    "Shape": shape(first),
                    "Network": first["display"] if arm else "the student that is pruned",
                    "Loss": loss(first),
                    "Test accuracy, %": spread(test),
                    "Minus that student, points": interval(effect),
                    "Parameters": count(parameters),
                    "MACs": f"{count(macs)} ({speed_up:.1f}× fewer)",
                    "Teacher's MACs ÷": f"{total_macs:.1f}",
                    "Teacher's parameters ÷": f"{total_parameters:.1f}",
                }
            )
    return Table(
        "pruning",
        "Pruning and recovery at equal budget. The two-stage chain is the hybrid compression of "
        "paper A: the last two columns are its total reduction against the teacher.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _reference(study: Study, chained: pd.DataFrame) -> str:
    return str(study.runs.set_index("path").loc[chained["path"].iloc[0], "reference"])


def exits(results: Results) -> Table:
    """Each exit and the ensemble, against the single network taught by KD."""
    summary = results.summary
    with_exits = summary[summary["exit"] != FINAL]
    data, shown = [], []
    for (pair, arm, name), part in with_exits.groupby(["pair", "arm", "exit"], sort=False):
        single = summary[summary["arm"] == f"distillation/{pair}.kd"]
        if part["network"].iloc[0] == "teacher":
            single = single.iloc[:0]
        effect = paired_to(part, single, "test_accuracy")
        first, test = part.iloc[0], part["test_accuracy"]
        data.append(
            {
                "pair": pair,
                "arm": arm,
                "exit": name,
                "weights": part["weights"].iloc[0],
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                **difference_columns(effect),
                "validation_mean": part["validation_accuracy"].mean(),
                "nll": part["test_nll"].mean(),
                "nll_sd": part["test_nll"].std(),
                "ece": part["test_ece"].mean(),
                "ece_sd": part["test_ece"].std(),
                "parameters": first["parameters"],
                "macs": first["macs"],
            }
        )
        shown.append(
            {
                "Pair": pair,
                "Network": first["display"],
                "Exit": name,
                "Loss": loss(first),
                "Test accuracy, %": spread(test),
                "Minus single net with KD, points": interval(effect),
                "NLL": spread(part["test_nll"], 3),
                "ECE": spread(part["test_ece"], 3),
                **costs(first),
            }
        )
    return Table(
        "exits",
        "Exits from shallow to deep, and their ensemble (mean of logits). Parameters and MACs are "
        "what that output needs.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def shock(results: Results) -> Table:
    """The gradient shock's quantities by arm, beside what came of it."""
    runs = shock_table(results.study)
    main = main_exits(results.summary)
    facts = ["path", "task", "step", "weights", "test_accuracy", "parameters", "macs"]
    data, shown = [], []
    for part in by_arm(runs.merge(main[facts], on="path"), "pair"):
        first, effect = part.iloc[0], against_baseline(main, part)[1]
        data += part.drop(columns=["path", "task", "step"]).to_dict("records")
        shown.append(
            {
                "Pair": first["pair"],
                "Network": first["display"],
                "Loss": loss(first),
                "Shock ratio": spread(part["shock_ratio"]),
                "Fall of the probe, points": spread(part["probe_loss"]),
                "Displacement at 100": spread(part["displacement"], 2),
                "CKA at 100": spread(part["similarity"], 2),
                "Test accuracy, %": spread(part["test_accuracy"]),
                "Minus baseline, points": interval(effect),
                **costs(first),
            }
        )
    return Table(
        "shock",
        "Gradient shock: mean ± sd (seeds). Shock ratio: largest backbone gradient norm in steps "
        "0-20 over the median in the last tenth of the first max(1 epoch, 100) steps; probe: "
        "largest fall of a linear probe on the features below step 0. Accuracy minus that of "
        "standard training, with its 95 % t interval.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


QUALITIES = {
    "test_top5": ("Top-5, %", 1),
    "test_nll": ("NLL", 3),
    "test_brier": ("Brier", 3),
    "test_ece": ("ECE", 3),
    "test_agreement": ("Agreement with teacher, %", 1),
    "test_kl": ("KL to teacher", 3),
}
"""Column of the summary to its heading and digits."""


def quality(results: Results) -> Table:
    """Probabilities and fidelity of every arm's main exit, on test."""
    main = main_exits(results.summary)
    columns = [column for column in QUALITIES if main[column].notna().any()]
    data, shown = [], []
    for part in by_arm(main, "pair", "task"):
        first, (baseline, effect) = part.iloc[0], against_baseline(main, part, "test_nll")
        texts = {}
        for column in columns:
            heading, digits = QUALITIES[column]
            texts[heading] = spread(part[column], digits)
        data.append(
            {
                **first[["pair", "task", "arm", "weights"]],
                **part[columns].mean(),
                **part[columns].std().add_suffix("_sd"),
                "n": len(part),
                "baseline": baseline,
                **{f"nll_{name}": value for name, value in difference_columns(effect).items()},
                "parameters": part["parameters"].mean(),
                "macs": part["macs"].mean(),
            }
        )
        shown.append(
            {
                "Arm": first["arm"],
                "Loss": loss(first),
                **texts,
                "NLL minus baseline": interval(effect, 3),
                **costs(part[["parameters", "macs"]].mean()),
            }
        )
    return Table(
        "quality",
        "Probabilities and fidelity to the teacher on test: mean ± sd (seeds; nats; ECE of "
        f"{results.study.config.get('evaluation', {}).get('ece_bins', 15)} bins), and the paired "
        "difference of NLL to the task's baseline with its 95 % t interval. The ensemble stands "
        "for a network with exits.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def latency(results: Results) -> Table:
    """Measured latency by arm and batch size, where it was measured."""
    main = main_exits(results.summary).groupby("arm", sort=False)[["parameters", "macs"]].mean()
    data, shown = pd.DataFrame(), pd.DataFrame()
    if results.latency is not None and len(results.latency):
        data = results.latency.merge(main, on="arm")
        wide = data.pivot_table(
            index=["arm", "parameters", "macs"], columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame(
            {
                "Arm": row["arm"],
                **{f"Batch {batch}, ms": f"{row[batch]:.2f}" for batch in wide.columns},
                **costs(row),
            }
            for row in wide.reset_index().to_dict("records")
        )
    return Table(
        "latency",
        "Latency of a forward pass: median of repeated passes of one network of each arm. "
        "Repeats and threads are in the CSV.",
        data,
        shown,
    )


TABLES: dict[str, Callable[[Results], Table]] = {
    "accuracy": accuracy,
    "published": published,
    "pruning": pruning,
    "exits": exits,
    "shock": shock,
    "quality": quality,
    "latency": latency,
}
