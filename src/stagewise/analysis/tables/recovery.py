"""What recovery gives back of what pruning took, and whose doing it is."""

import numpy as np
import pandas as pd

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.recovery import BETTER, DOINGS, Point, points
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired
from stagewise.analysis.records.labels import RECOVERED, pruned_student
from stagewise.analysis.tables.cells import count, counts, difference_columns, interval
from stagewise.analysis.tables.table import Table

POSITION = 15
"""Place among the tables."""
SHOWN = ("bn", "ce", "kd", "two_stage_kd")
"""Recoveries whose part is shown; the CSV has that of all."""


def make(results: Results) -> Table:
    """A row per shape and family of rates."""
    data, shown = [], []
    for point in points(results):
        back = {recovery: point.given_back(recovery) for recovery in point.arms}
        doings = {name: point.effect(doing) for name, doing in DOINGS.items()}
        effects = {"damage": point.damage, **doings}
        effects |= {f"given_back_{recovery}": effect for recovery, effect in back.items()}
        macs, parameters = point.pruned["macs"].mean(), point.pruned["parameters"]
        data.append(
            {
                **_named(point),
                "family": point.family,
                "n": point.damage.n,
                **{
                    f"{name}_{column}": value
                    for name, effect in effects.items()
                    for column, value in difference_columns(effect).items()
                },
                "parameters": parameters.mean(),
                "macs": macs,
            }
        )
        shown.append(
            {
                "Pair": point.pair,
                "Chain": pruned_student(point.chain),
                "Shape": f"{point.criterion} {point.ratio:g}×",
                "Rates": point.family or "own",
                "Damage, points": interval(point.damage),
                **{f"{doing.name}, points": interval(doings[n]) for n, doing in DOINGS.items()},
                **{
                    f"{RECOVERED[recovery]} gives back": _share(back.get(recovery, Paired(0)))
                    for recovery in SHOWN
                },
                "Parameters": counts(parameters),
                "MACs": count(macs),
            }
        )
    return Table(
        "recovery",
        "What recovery gives back of what pruning took, with 95 % intervals over seeds. Damage: "
        "pruned and not trained again minus dense. KD: minus labels alone; two stages: two-stage "
        "minus one-stage KD; inherited weights: KD minus KD of new weights in that shape, with the "
        "dense student's epochs too; sparsity: two-stage KD minus the dense student with the same "
        "extra KD. Gives back: share of the damage, a ratio of means with Fieller's "
        "interval. Rates: own, or of a family that all recoveries share; "
        f"{BETTER}: each at the one that is best on validation images.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _share(effect: Paired) -> str:
    """``86 % [80, 93]``; a dash where there is none, no bracket where no interval."""
    if not np.isfinite(effect.mean):
        return "–"
    mean, low, high = (
        number(100 * value, 0, signed=False) for value in (effect.mean, effect.low, effect.high)
    )
    return f"{mean} % [{low}, {high}]" if np.isfinite(effect.low) else f"{mean} %"


def _named(point: Point) -> dict[str, str | float]:
    """What tells its shape from others."""
    return {
        "pair": point.pair,
        "chain": point.chain,
        "criterion": point.criterion,
        "ratio": point.ratio,
    }
