"""What exits are worth together: every prefix of them, three ways to answer, how they differ."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.records.early_exit import students_with_exits
from stagewise.analysis.records.ensembles import prefix
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.tables.cells import difference_columns, interval, loss, recorded, spread
from stagewise.analysis.tables.table import Table

POSITION = 11
"""Place among the tables."""

HEADINGS = {
    "mean_logits": ("Mean logits, %", 1),
    "mean_softmax": ("Mean softmax, %", 1),
    "vote": ("Vote, %", 1),
    "disagreement": ("Disagreement, %", 1),
    "divergence": ("KL between exits", 3),
}
"""Column to its heading and digits."""
NAMES = ("pair", "arm", "seed", "display")
COSTS = ("cumulative_parameters", "cumulative_macs")


def make(results: Results) -> Table:
    """Every prefix of the exits of every student that has some."""
    table, weights = _measured(results), results.main.drop_duplicates("arm").set_index("arm")
    data, shown = [], []
    for arm in by_arm(table, "pair"):
        for exits, part in arm.groupby("exits", sort=True):
            first, effect = part.iloc[0], paired(part.set_index("seed")["minus_last"])
            data.append(
                {
                    **first[["pair", "arm", "exits"]],
                    **part[[*HEADINGS]].mean(),
                    **part[[*HEADINGS]].std().add_suffix("_sd"),
                    "n": len(part),
                    **difference_columns(effect),
                    **first[[*COSTS]],
                }
            )
            shown.append(
                {
                    "Pair": first["pair"],
                    "Network": first["display"],
                    "Exits": "1" if exits == 1 else f"1–{exits}",
                    "Loss": loss(weights.loc[first["arm"]]),
                    **{text: spread(part[key], n) for key, (text, n) in HEADINGS.items()},
                    "Mean logits minus last exit, points": interval(effect),
                    "Parameters": recorded(first["cumulative_parameters"]),
                    "MACs": recorded(first["cumulative_macs"]),
                }
            )
    return Table(
        "ensembles",
        "Ensembles of the first exits, test accuracy: mean ± sd (seeds). Mean logits: what "
        '"ensemble" means in all other tables. Vote: of classes named equally often, the one with '
        "the larger mean logit. Disagreement: images on which two exits name different classes, "
        "mean over pairs of exits; KL: mean over ordered pairs, nats. Difference: to the last exit "
        "of the same network, with its 95 % t interval. Parameters and MACs: of all these exits, "
        "one after another.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _measured(results: Results) -> pd.DataFrame:
    """A row per run and prefix of its exits."""
    rows = []
    for run, splits in students_with_exits(results.study):
        costs = results.study.files(run["path"]).record.costs
        logits, labels = splits["test"].logits, splits["test"].labels
        last = prefix(logits[-1:], labels)["mean_logits"]
        for exits in range(1, len(logits) + 1):
            found = prefix(logits[:exits], labels)
            rows.append(
                {
                    **{name: run[name] for name in NAMES},
                    "exits": exits,
                    **found,
                    "minus_last": found["mean_logits"] - last,
                    **{cost: costs[str(exits)][cost] for cost in COSTS},
                }
            )
    return pd.DataFrame(rows, columns=[*NAMES, "exits", *HEADINGS, "minus_last", *COSTS])
