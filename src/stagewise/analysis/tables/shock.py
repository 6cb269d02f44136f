"""The gradient shock's quantities by arm, beside what came of it."""

import pandas as pd

from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.tables.cells import costs, interval, loss, spread
from stagewise.analysis.tables.table import Table

POSITION = 4
"""Place among the tables."""


def make(results: Results) -> Table:
    """The gradient shock's quantities by arm, beside what came of it."""
    runs = results.shock
    main = results.main
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
