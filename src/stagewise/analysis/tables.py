"""Result tables of a study: numbers as CSV, the same formatted as Markdown and for the report."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stagewise.analysis.claims import study_gate
from stagewise.analysis.records import ENSEMBLE, FINAL, Study
from stagewise.analysis.shock import shock_table
from stagewise.analysis.statistics import Paired, paired
from stagewise.analysis.summary import main_exits

BASELINES = {"all": "students/{pair}.baseline", "target": "students/{pair}.pretrained"}
TASKS = {"all": "all classes", "source": "source classes", "target": "target classes"}
COMPRESSION = ("pruning", "recovery")


@dataclass(frozen=True)
class Table:
    """``data``: plain numbers. ``shown``: the same as text, with the headings that readers see."""

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame


@dataclass(frozen=True)
class Results:
    """What a table or a figure is made from."""

    study: Study
    summary: pd.DataFrame
    latency: pd.DataFrame | None = None


def paired_to(treatment: pd.DataFrame, control: pd.DataFrame, column: str) -> Paired:
    """Paired difference of two groups of rows over the seeds that both have."""
    left, right = (part.set_index("seed")[column] for part in (treatment, control))
    return paired((left - right).dropna().sort_index().to_numpy())


def plus_minus(values: pd.Series, digits: int = 1) -> str:
    """``mean ± sd (n)``; the sd is left out for one value."""
    mean = f"{values.mean():.{digits}f}"
    return mean + (f" ± {values.std():.{digits}f} ({len(values)})" if len(values) > 1 else " (1)")


def interval(effect: Paired) -> str:
    """``+1.2 [+0.3, +2.1]``; a dash where there is no effect, no bracket where no interval."""
    if not np.isfinite(effect.mean):
        return "–"
    if not np.isfinite(effect.low):
        return f"{effect.mean:+.1f}"
    return f"{effect.mean:+.1f} [{effect.low:+.1f}, {effect.high:+.1f}]"


def count(value: float) -> str:
    """A number of parameters or MACs: 1,234, 56.7 k, 8.9 M, 1.2 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value >= 100 * size else 1}f} {letter}"
    return f"{value:.0f}"


def difference_columns(effect: Paired) -> dict[str, float]:
    """The columns of a paired difference in a table's data."""
    return {"difference": effect.mean, "low": effect.low, "high": effect.high}


def accuracy(results: Results) -> Table:
    """Every network that was not pruned, against its task's baseline."""
    main = main_exits(results.summary)
    main = main[~main["step"].isin(COMPRESSION)]
    data, shown = [], []
    for (pair, task, arm), part in main.groupby(["pair", "task", "arm"], sort=False):
        baseline = BASELINES.get(str(task), "").format(pair=pair)
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
                "Task": TASKS[str(task)],
                "Network": _display(first),
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


def _display(row: pd.Series) -> str:
    return f"{row['display']} (ensemble)" if row["exit"] == ENSEMBLE else str(row["display"])


def pruning(results: Results) -> Table:
    """Pruned and recovered networks of each chain, against the dense student that was pruned."""
    main = main_exits(results.summary)
    data, shown = [], []
    for (pair, chain), chained in main[main["chain"] != ""].groupby(["pair", "chain"], sort=False):
        dense = _pruned_from(results.study, main, chained)
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


def shape(row: pd.Series) -> str:
    """``l2 2×``, or ``dense``."""
    dense = row["criterion"] in ("", "dense")
    return "dense" if dense else f"{row['criterion']} {row['ratio']:g}×"


def _pruned_from(study: Study, main: pd.DataFrame, chained: pd.DataFrame) -> pd.DataFrame:
    """The dense students that a chain starts from: its dense or pruned runs' ``init`` parents."""
    roots = chained[(chained["step"] == "pruning") | (chained["criterion"] == "dense")]["path"]
    parents = study.runs.set_index("path").loc[roots, "parents"]
    return main[main["path"].isin({parent.get("init", "") for parent in parents})]


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
    for (pair, arm), part in runs.merge(final, on="path").groupby(["pair", "arm"], sort=False):
        data += part.drop(columns="path").to_dict("records")
        shown.append(
            {
                "Pair": pair,
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
    formats = dict(zip(columns, list(zip(names, digits, strict=True))[-len(columns) :], strict=True))
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


def all_tables(results: Results) -> list[Table]:
    """Every table that the study has rows for."""
    made = [make(results) for make in TABLES.values()]
    return [table for table in made if len(table.data)]


def markdown(shown: pd.DataFrame) -> str:
    """A GitHub table; the first text columns left, others as they are."""
    rows = [list(map(str, shown.columns)), ["---"] * shown.shape[1]]
    rows += [[str(cell).replace("|", "\\|") for cell in row] for row in shown.to_numpy()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def protocol_lines(results: Results) -> list[str]:
    """How the numbers were made, in sentences."""
    summary, config = results.summary, results.study.config
    gate = study_gate(results.study, summary)
    leads = ", ".join(f"{pair} {lead:+.1f}" for pair, lead in gate.leads.items())
    first = summary.iloc[0]
    return [
        f"Study {results.study.name}: {summary['path'].nunique()} runs, "
        f"seeds {', '.join(map(str, config['seeds']))}; data source {config['data']['source']}.",
        f"Reported: test accuracy after the {first['selection'] or 'last epoch'}. Choices "
        "(learning rates, gate) were made on validation images; the test set made none.",
        "Paired by seed: the seed fixes initialisation, data order and augmentation of all arms; "
        "one teacher per pair serves all seeds, so its own variation is not in the intervals.",
        f"Study gate (validation, teacher minus baseline, points): {leads or 'no pair'}; needed "
        f"{gate.needed:g} in every pair: {gate.reason or 'passed'}.",
    ]
