"""Result tables of a study, each a function from its records; ``TABLES`` names them all."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from stagewise.analysis.records import FINAL, Study
from stagewise.analysis.results import (
    BASELINES,
    COMPRESSION,
    TASKS,
    Results,
    Table,
    by_arm,
    count,
    dense_students,
    difference_columns,
    display,
    interval,
    paired_to,
    plus_minus,
    shape,
)
from stagewise.analysis.shock import shock_table
from stagewise.analysis.summary import main_exits


def accuracy(results: Results) -> Table:
    """Every network that was not pruned, against its task's baseline."""
    main = main_exits(results.summary)
    main = main[~main["step"].isin(COMPRESSION)]
    data, shown = [], []
    for part in by_arm(main, "pair", "task"):
        pair, task, arm = part[["pair", "task", "arm"]].iloc[0]
        baseline = BASELINES.get(task, "").format(pair=pair)
        # A single teacher is no paired arm: its one seed against one baseline would look like one.
        is_paired = arm != baseline and part["step"].iloc[0] not in ("teachers", "pretraining")
        control = main[main["arm"] == baseline] if is_paired else main.iloc[:0]
        effect = paired_to(part, control, "test_accuracy")
        first, test = part.iloc[0], part["test_accuracy"]
        data.append(
            {
                "pair": pair,
                "task": task,
                "arm": arm,
                "exit": first["exit"],
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                "baseline": baseline if effect.n else "",
                **difference_columns(effect),
                "validation_mean": part["validation_accuracy"].mean(),
                "parameters": first["parameters"],
                "macs": first["macs"],
                "file_bytes": part["file_bytes"].mean(),
            }
        )
        shown.append(
            {
                "Pair": pair,
                "Task": TASKS[task],
                "Network": display(first),
                "Test accuracy, %": plus_minus(test),
                "Minus baseline, points": interval(effect),
                "Validation, %": f"{part['validation_accuracy'].mean():.1f}",
                "Parameters": count(first["parameters"]),
                "MACs": count(first["macs"]),
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
                    "Test accuracy, %": plus_minus(test),
                    "Minus that student, points": interval(effect),
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
                "mean": test.mean(),
                "sd": test.std(),
                "n": len(part),
                **difference_columns(effect),
                "validation_mean": part["validation_accuracy"].mean(),
                "nll": part["test_nll"].mean(),
                "ece": part["test_ece"].mean(),
                "parameters": first["parameters"],
                "macs": first["macs"],
            }
        )
        shown.append(
            {
                "Pair": pair,
                "Network": first["display"],
                "Exit": name,
                "Test accuracy, %": plus_minus(test),
                "Minus single net with KD, points": interval(effect),
                "NLL": f"{part['test_nll'].mean():.3f}",
                "ECE": f"{part['test_ece'].mean():.3f}",
                "Parameters": count(first["parameters"]),
                "MACs": count(first["macs"]),
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
    """The gradient shock's quantities by arm."""
    runs = shock_table(results.study)
    final = main_exits(results.summary)[["path", "test_accuracy"]]
    data, shown = [], []
    for part in by_arm(runs.merge(final, on="path"), "pair"):
        data += part.drop(columns="path").to_dict("records")
        shown.append(
            {
                "Pair": part["pair"].iloc[0],
                "Network": part["display"].iloc[0],
                "Shock ratio": plus_minus(part["shock_ratio"]),
                "Fall of the probe, points": plus_minus(part["probe_loss"]),
                "Displacement at 100": plus_minus(part["displacement"], 2),
                "CKA at 100": plus_minus(part["similarity"], 2),
                "Test accuracy, %": plus_minus(part["test_accuracy"]),
            }
        )
    return Table(
        "shock",
        "Gradient shock. Shock ratio: largest backbone gradient norm in steps 0-20 over the median "
        "in the last tenth of the first max(1 epoch, 100) steps; probe: largest fall of a linear "
        "probe on the features below step 0.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def quality(results: Results) -> Table:
    """Probabilities and fidelity of every arm's main exit, on test."""
    main = main_exits(results.summary)
    columns = ["test_nll", "test_brier", "test_ece", "test_agreement", "test_kl"]
    if main["test_top5"].notna().any():
        columns.insert(0, "test_top5")
    groups = main.groupby(["pair", "task", "arm"], sort=False)
    data = groups[columns].mean().reset_index()
    names = ("Top-5, %", "NLL", "Brier", "ECE", "Agreement with teacher, %", "KL to teacher")
    digits = (1, 3, 3, 3, 1, 3)
    formats = dict(
        zip(columns, list(zip(names, digits, strict=True))[-len(columns) :], strict=True)
    )
    shown = data[["pair", "arm"]].rename(columns={"pair": "Pair", "arm": "Arm"})
    for column, (heading, places) in formats.items():
        shown[heading] = [f"{v:.{places}f}" if np.isfinite(v) else "–" for v in data[column]]
    return Table(
        "quality",
        "Probabilities and fidelity to the teacher on test, means over seeds (nats; 15-bin ECE "
        "unless configured otherwise).",
        data,
        shown,
    )


def latency(results: Results) -> Table:
    """Measured latency by arm and batch size, where it was measured."""
    data = pd.DataFrame() if results.latency is None else results.latency
    shown = pd.DataFrame()
    if len(data):
        wide = data.pivot_table(
            index="arm", columns="batch", values="milliseconds", sort=False
        ).sort_index(axis=1)
        shown = pd.DataFrame({"Arm": wide.index})
        for batch in wide.columns:
            shown[f"Batch {batch}, ms"] = [f"{value:.2f}" for value in wide[batch]]
    return Table("latency", "Median latency of a forward pass.", data, shown)


TABLES: dict[str, Callable[[Results], Table]] = {
    "accuracy": accuracy,
    "pruning": pruning,
    "exits": exits,
    "shock": shock,
    "quality": quality,
    "latency": latency,
}
