"""The candidates of a target: how fast, how large, how right, and whether they meet it."""

import numpy as np
import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.target import Judged, TargetResult, judge_target
from stagewise.analysis.tables.cells import count, difference_columns, interval, spread
from stagewise.analysis.tables.table import Table
from stagewise.study.goals import QUANTITIES

POSITION = 17
"""Place among the tables."""


def make(results: Results) -> Table:
    """A row a candidate, the chosen one first."""
    found = judge_target(results)
    judged = found.judged if found else []
    return Table(
        "target",
        f"Candidates for the target, the one that ships first{_said(found)}",
        pd.DataFrame([_data(each, judged[0]) for each in judged]),
        pd.DataFrame([_shown(each) for each in judged]),
        empty="This study has no target.",
    )


def _said(found: TargetResult | None) -> str:
    if found is None:
        return "."
    asked = ", ".join(f"{name} {goal}" for name, goal in found.goals.items())
    return (
        f". Asked for: {asked}, at most {found.chosen.loss:g} points worse than {found.against} (in"
        " float32). Times and sizes are of the files, medians over seeds; calls of"
        f" {found.asked['batch']} images on {found.asked['threads']} thread(s), all files by turns."
        " Accuracy minus the reference's: test images, paired by seed, 95 % t interval; it meets"
        " the target where all of that lies above what may be lost. The choice is by validation"
        " accuracy, among those that are fast and small enough."
    )


def _data(each: Judged, chosen: Judged) -> dict[str, object]:
    first = each.rows.iloc[0]
    return {
        **first[["pair", "arm", "form", "ratio"]],
        "verdict": each.verdict,
        "chosen": each is chosen,
        "shipped": each.shipped["path"] if each is chosen else "",
        "n": len(each.rows),
        "validation_mean": each.validation,
        "mean": each.rows["test_accuracy"].mean(),
        "sd": each.rows["test_accuracy"].std(),
        **difference_columns(each.effect),
        **each.taken,
        "latency_low": each.rows["latency_low"].min(),
        "latency_high": each.rows["latency_high"].max(),
        **{f"{name}_times": each.times[name] for name in QUANTITIES},
        "more_seeds": np.nan if each.missed else each.more_seeds,
    }


def _shown(each: Judged) -> dict[str, str]:
    first = each.rows.iloc[0]
    return {
        "Candidate": each.name,
        "Test accuracy, %": spread(each.rows["test_accuracy"]),
        "Minus reference, points": interval(each.effect, 1),
        "Verdict": each.verdict,
        "Milliseconds": f"{each.taken['latency']:.3g}",
        "× faster": f"{each.times['latency']:.2f}",
        "Bytes": count(each.taken["bytes"]),
        "× smaller": f"{each.times['bytes']:.2f}",
        "MACs": count(each.taken["macs"]),
        "Parameters": count(each.taken["parameters"]),
        "Recovery": str(first["arm"]).rsplit(".", maxsplit=1)[-1],
    }
