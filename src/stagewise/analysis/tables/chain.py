"""Chains of techniques: accuracy beside every kind of cost, with the Pareto fronts."""

from collections.abc import Mapping

import pandas as pd

from stagewise.analysis.claims.chains import COSTS, Front, chained, efforts, links, techniques
from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.records.labels import TASKS, by_arm
from stagewise.analysis.tables.cells import (
    count,
    counts,
    difference_columns,
    interval,
    level,
    loss,
    recorded,
    spread,
)
from stagewise.analysis.tables.table import Table

POSITION = 16
"""Place among the tables."""


def make(results: Results) -> Table:
    """A row per network that a chain of techniques makes, beside those of one technique alone."""
    data, shown = [], []
    for group in chained(results):
        took = efforts(results, group.rows["path"])
        fronts = {kind: group.front(kind) for kind in COSTS}
        for part in by_arm(group.rows, "pair"):
            first, test = part.iloc[0], part["test_accuracy"]
            arm, mean = str(first["arm"]), paired(test)
            effect = against_baseline(results.main, part)[1]
            training = pd.DataFrame([vars(took[path]) for path in part["path"]]).mean()
            costs = {kind: part[kind].mean() for kind in COSTS}
            data.append(
                {
                    "pair": group.pair,
                    "task": group.task,
                    "arm": arm,
                    "techniques": techniques(first),
                    "weights": first["weights"],
                    "mean": mean.mean,
                    "mean_low": mean.low,
                    "mean_high": mean.high,
                    "sd": test.std(),
                    "n": len(part),
                    **difference_columns(effect),
                    **costs,
                    "training_epochs": training["epochs"],
                    "training_macs": training["macs"],
                    **{f"front_{kind}": arm in front.arms for kind, front in fronts.items()},
                    **{f"front_{kind}_seeds": each.seeds.get(arm) for kind, each in fronts.items()},
                }
            )
            shown.append(
                {
                    "Pair": group.pair,
                    "Task": TASKS[group.task],
                    "Network": links(first),
                    "Techniques": techniques(first),
                    "Loss": loss(first),
                    "Test accuracy, %": spread(test),
                    "95 % interval": level(mean),
                    "Minus baseline, points": interval(effect),
                    "Parameters": counts(part["parameters"]),
                    "MACs": count(costs["macs"]),
                    "Bytes": count(costs["file_bytes"]),
                    "Milliseconds": _time(costs["milliseconds"]),
                    "Epochs in all": f"{training['epochs']:g}",
                    "Training MACs in all": recorded(training["macs"]),
                    "On the front of": _told(fronts, arm),
                }
            )
    return Table(
        "chain",
        "Chains of techniques: what each is worth alone and after another. The baseline is the "
        "student alone, on the target classes standard training. Bytes: of the file of weights. "
        "Milliseconds: of one image alone. In all: with what the network went on from, the "
        "teacher's answers counted. A network is on a front where none that costs no more is as "
        "accurate, in the means; in brackets: on that of how many seeds.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _time(value: float) -> str:
    return f"{value:.2f}" if value == value else "not measured"


def _told(fronts: Mapping[str, Front], arm: str) -> str:
    """``MACs (5 of 6), bytes (6 of 6)``; a dash where it is on none."""
    told = [
        f"{COSTS[kind]} ({front.seeds[arm]} of {front.n})"
        for kind, front in fronts.items()
        if arm in front.arms
    ]
    return ", ".join(told) or "–"
