"""How like its teacher a method's student answers, apart from how accurate it is."""

import pandas as pd

from stagewise.analysis.claims.comparison import comparisons
from stagewise.analysis.claims.contrasts import paired_to
from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.cells import (
    TRAINING_MACS,
    costs,
    difference_columns,
    interval,
    loss,
    spread,
    training_cost,
)
from stagewise.analysis.tables.comparison import relative_macs
from stagewise.analysis.tables.table import Table

POSITION = 9
"""Place among the tables."""

FIDELITY = {
    "test_accuracy": ("Test accuracy, %", 1),
    "test_agreement": ("Agreement with teacher, %", 1),
    "test_agreement_right": ("… where it is right, %", 1),
    "test_agreement_wrong": ("… where it is wrong, %", 1),
    "test_kl": ("KL to teacher", 3),
    "test_ece": ("ECE", 3),
}
"""Column of the summary to its heading and digits."""


def make(results: Results) -> Table:
    """The compared methods and the student alone, the best mean accuracy first."""
    data, shown = [], []
    for pair in comparisons(results):
        reference, relative = pair.part(pair.baseline), relative_macs(pair)
        for arm in pair.ranked:
            part = pair.part(arm)
            first = part.iloc[0]
            effect = paired_to(
                part,
                reference.iloc[: len(reference) * (arm != pair.baseline)],
                "test_agreement_wrong",
            )
            texts = {
                heading: spread(part[column], digits)
                for column, (heading, digits) in FIDELITY.items()
            }
            data.append(
                {
                    **first[["pair", "arm", "weights"]],
                    **part[[*FIDELITY]].mean(),
                    **part[[*FIDELITY]].std().add_suffix("_sd"),
                    "n": len(part),
                    **{
                        f"wrong_{name}": value for name, value in difference_columns(effect).items()
                    },
                    "training_macs_to_kd": relative[arm],
                    "parameters": first["parameters"],
                    "macs": first["macs"],
                }
            )
            shown.append(
                {
                    "Pair": pair.pair,
                    "Method": pair.names[arm],
                    "Loss": loss(first),
                    **texts,
                    "Errors inherited, minus student alone, points": interval(effect),
                    **training_cost(relative[arm]),
                    **costs(first),
                }
            )
    return Table(
        "fidelity",
        "Fidelity of the compared methods on test, the best mean accuracy first: mean ± sd (seeds; "
        f"nats; ECE of {results.study.config['evaluation']['ece_bins']} bins). Agreement where the "
        "teacher is wrong is error inheritance: part of it comes without a teacher, as images are "
        "hard for both, so its paired difference to the student alone stands beside it (95 % t "
        f"interval, not adjusted). {TRAINING_MACS}",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="No pair of this study has at least three methods.",
    )
