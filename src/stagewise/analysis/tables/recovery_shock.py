"""Whether there is a gradient shock where a pruned network is trained again."""

import numpy as np
import pandas as pd

from stagewise.analysis.claims.contrasts import differences
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired, paired
from stagewise.analysis.records.labels import RECOVERED, pruned_student
from stagewise.analysis.records.shock import FALLS
from stagewise.analysis.tables.cells import costs, factor, spread, times
from stagewise.analysis.tables.shock import peak
from stagewise.analysis.tables.table import Table

POSITION = 18
"""Place among the tables."""
SHAPE = ["pair", "chain", "criterion", "ratio", "family"]
"""What recoveries that are compared have in common."""
TOLD = ["path", *SHAPE, "recovery", "diverged", "test_accuracy", "parameters", "macs"]
"""Columns of the summary that it needs."""
TWO_STAGES = {"two_stage_kd": "kd", "two_stage_ce": "ce"}
"""Recovery in two stages → the same in one."""


def make(results: Results) -> Table:
    """A row per recovery that logged it, shape by shape and family by family."""
    runs = results.recovery_shock.drop(columns="pair").merge(results.main[TOLD], on="path")
    data, shown = [], []
    for _, part in runs.groupby(SHAPE, sort=False):
        arms = {str(name): arm for name, arm in part.groupby("recovery", sort=False)}
        for name, arm in arms.items():
            ratio = _over(arm, arms.get(TWO_STAGES.get(name, "")))
            logs = {"peak_ratio": ratio.mean, "low": ratio.low, "high": ratio.high}
            data += [row | logs for row in arm.drop(columns="display").to_dict("records")]
            shown.append(_row(arm, name, ratio))
    return Table(
        "recovery_shock",
        "Is there a gradient shock where a pruned network is trained again? Its classifier is not "
        "new, so that a first stage for the classifier alone has nothing to calm unless pruning "
        "itself left something. Quantities as in the table of the gradient shock, from the first "
        "step at which the backbone may move; peak, two stages over one: the geometric mean over "
        "seeds of their ratio, both at the rate shown or at their own, with its 95 % t interval.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="No recovery of this study logs the gradient shock (pruning.probe).",
    )


def _over(arm: pd.DataFrame, single: pd.DataFrame | None) -> Paired:
    """Peak of two stages over that of one, paired by seed, as natural logarithms."""
    if single is None:
        return Paired(0)
    two, one = (np.log(rows.set_index("seed")["shock_peak"]) for rows in (arm, single))
    return paired(differences(two, one))


def _row(part: pd.DataFrame, recovery: str, ratio: Paired) -> dict[str, str]:
    """One recovery's runs as text."""
    first = part.iloc[0]
    return {
        "Pair": first["pair"],
        "Chain": pruned_student(first["chain"]),
        "Shape": f"{first['criterion']} {first['ratio']:g}×",
        "Recovery": RECOVERED[recovery],
        "Rate": f"{first['lr']:g}, {first['family'] or 'own'}",
        "Start": factor(part["shock_start"]),
        "Peak": peak(part, ""),
        "Update": factor(part["update_peak"]),
        **{f"Probe at {step}": spread(part[f"probe_fall_{step}"]) for step in FALLS},
        "CKA at 100": spread(part["similarity"], 2),
        "Peak, two stages over one": times(ratio),
        "Test accuracy, %": spread(part["test_accuracy"]),
        **costs(first),
    }
