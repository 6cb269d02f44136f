"""Each exit and the ensemble, against the single network taught by KD."""

import pandas as pd

from stagewise.analysis.claims.contrasts import paired_to
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.logits import FINAL
from stagewise.analysis.tables.cells import (
    costs,
    difference_columns,
    interval,
    loss,
    recorded,
    spread,
)
from stagewise.analysis.tables.table import Table

POSITION = 3
"""Place among the tables."""


def make(results: Results) -> Table:
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
                "auroc": part["test_auroc"].mean(),
                "auroc_sd": part["test_auroc"].std(),
                "parameters": first["parameters"],
                "macs": first["macs"],
                "cumulative_macs": first["cumulative_macs"],
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
                "AUROC of confidence": spread(part["test_auroc"], 3),
                **costs(first),
                "MACs one after another": recorded(first["cumulative_macs"]),
            }
        )
    return Table(
        "exits",
        "Exits from shallow to deep, and their ensemble (mean of logits); two networks with KD "
        "are an ensemble too. ECE: calibration error; AUROC: how well the largest probability "
        "tells right answers from wrong ones (0.5 is blind). Parameters and MACs are what that "
        "output needs alone; one after another, the exits before it answer first.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )
