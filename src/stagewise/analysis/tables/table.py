"""What tables and figures are made from, and how their numbers are written."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.statistics import Paired, paired
from stagewise.analysis.claims.wording import number
from stagewise.analysis.records.study import ENSEMBLE, Study

BASELINES = {"all": "students/{pair}.baseline", "target": "students/{pair}.pretrained"}
TASKS = {"all": "all classes", "source": "source classes", "target": "target classes"}
COMPRESSION = ("pruning", "recovery")


@dataclass(frozen=True)
class Table:
    """``data``: plain numbers. ``shown``: the same as text, with the headings that readers see.

    ``empty``: what stands in the place of a table without rows.
    """

    name: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    empty: str = "This study has no such runs."


@dataclass(frozen=True)
class Results:
    """What a table or a figure is made from."""

    study: Study
    summary: pd.DataFrame
    latency: pd.DataFrame | None = None


def by_arm(rows: pd.DataFrame, *outer: str) -> Iterator[pd.DataFrame]:
    """Each arm's rows, in plan order, arms of equal ``outer`` columns together."""
    for _, part in rows.groupby(list(outer), sort=False):
        yield from (arm for _, arm in part.groupby("arm", sort=False))


def paired_to(treatment: pd.DataFrame, control: pd.DataFrame, column: str) -> Paired:
    """Paired difference of two groups of rows over the seeds that both have."""
    left, right = (part.set_index("seed")[column] for part in (treatment, control))
    return paired((left - right).dropna().sort_index())


def plus_minus(mean: float, sd: float, n: float, digits: int = 1) -> str:
    """``mean ± sd (n)``, as far as these are known; a dash where there is no mean."""
    if not np.isfinite(mean):
        return "–"
    parts = [f"{mean:.{digits}f}"]
    parts += [f"± {sd:.{digits}f}"] if np.isfinite(sd) else []
    parts += [f"({n:.0f})"] if np.isfinite(n) else []
    return " ".join(parts)


def spread(values: pd.Series, digits: int = 1) -> str:
    """``mean ± sd (n)`` of the values that are known."""
    return plus_minus(values.mean(), values.std(), values.count(), digits)


def interval(effect: Paired, digits: int = 1) -> str:
    """``+1.2 [+0.3, +2.1]``; a dash where there is no effect, no bracket where no interval."""
    if not np.isfinite(effect.mean):
        return "–"
    if not np.isfinite(effect.low):
        return number(effect.mean, digits)
    low, high = number(effect.low, digits), number(effect.high, digits)
    return f"{number(effect.mean, digits)} [{low}, {high}]"


def count(value: float) -> str:
    """A number of parameters or MACs: 1,234, 56.7 k, 8.9 M, 1.2 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value >= 100 * size else 1}f} {letter}"
    return f"{value:.0f}"


def costs(row: pd.Series | dict[Any, Any]) -> dict[str, str]:
    """Parameters and MACs of a row as text, as every table shows them."""
    return {"Parameters": count(row["parameters"]), "MACs": count(row["macs"])}


def loss(row: pd.Series) -> str:
    """The weights of a row's loss terms, which tell "method" from "method + KD"; a dash where
    nothing was trained."""
    return row["weights"] or "–"


def against_baseline(
    main: pd.DataFrame, part: pd.DataFrame, column: str = "test_accuracy"
) -> tuple[str, Paired]:
    """The baseline of an arm's task (``BASELINES``; empty where it has none), and the paired
    difference to it."""
    pair, task, arm, step = part[["pair", "task", "arm", "step"]].iloc[0]
    baseline = BASELINES.get(task, "").format(pair=pair)
    # A single teacher is no paired arm: its one seed against one baseline would look like one.
    is_paired = arm != baseline and step not in ("teachers", "pretraining")
    effect = paired_to(part, main[(main["arm"] == baseline) & is_paired], column)
    return baseline if effect.n else "", effect


def difference_columns(effect: Paired) -> dict[str, float]:
    """The columns of a paired difference in a table's data."""
    return {"difference": effect.mean, "low": effect.low, "high": effect.high}


def display(row: pd.Series) -> str:
    """A network's name for readers, which says where its ensemble is meant."""
    return f"{row['display']} (ensemble)" if row["exit"] == ENSEMBLE else str(row["display"])


def shape(row: pd.Series) -> str:
    """``l2 2×``, or ``dense``."""
    dense = row["criterion"] in ("", "dense")
    return "dense" if dense else f"{row['criterion']} {row['ratio']:g}×"


def dense_students(study: Study, main: pd.DataFrame, chained: pd.DataFrame) -> pd.DataFrame:
    """The dense students that a chain starts from: its dense or pruned runs' ``init`` parents."""
    roots = chained[(chained["step"] == "pruning") | (chained["criterion"] == "dense")]["path"]
    parents = study.runs.set_index("path").loc[roots, "parents"]
    return main[main["path"].isin({parent.get("init", "") for parent in parents})]
