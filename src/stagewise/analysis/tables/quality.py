"""Probabilities and fidelity of every arm's main exit, on test."""

import pandas as pd

from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import TASKS, by_arm, full_name
from stagewise.analysis.tables.cells import costs, difference_columns, interval, loss, spread
from stagewise.analysis.tables.table import Table

POSITION = 6
"""Place among the tables."""

QUALITIES = {
    "test_top5": ("Top-5, %", 1),
    "test_nll": ("NLL", 3),
    "test_brier": ("Brier", 3),
    "test_ece": ("ECE", 3),
    "test_agreement": ("Agreement with teacher, %", 1),
    "test_kl": ("KL to teacher", 3),
}
"""Column of the summary to its heading and digits."""


def make(results: Results) -> Table:
    """Probabilities and fidelity of every arm's main exit, on test."""
    main = results.main
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
                "Network": full_name(first),
                "Pair": first["pair"],
                "Task": TASKS[first["task"]],
                "Loss": loss(first),
                **texts,
                "NLL minus baseline": interval(effect, 3),
                **costs(part[["parameters", "macs"]].mean()),
            }
        )
    return Table(
        "quality",
        "Probabilities and fidelity to the teacher on test: mean ± sd (seeds; nats; ECE of "
        f"{results.study.config['evaluation']['ece_bins']} bins), and the paired "
        "difference of NLL to the task's baseline with its 95 % t interval. The ensemble stands "
        "for a network with exits.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )
