"""What exits are worth together: every prefix of them, three ways to answer, how they differ."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.early_exit import students_with_exits
from stagewise.analysis.records.ensembles import prefix
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.tables.cells import recorded, spread
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


def make(results: Results) -> Table:
    """Every prefix of the exits of every student that has some."""
    measured = []
    for run, splits in students_with_exits(results.study):
        costs = results.study.files(run["path"]).record.costs
        logits, labels = splits["test"].logits, splits["test"].labels
        for exits in range(1, len(logits) + 1):
            names = {key: run[key] for key in ("pair", "arm", "seed", "display")}
            macs = costs[str(exits)]["cumulative_macs"]
            found = prefix(logits[:exits], labels)
            measured.append({**names, "exits": exits, **found, "cumulative_macs": macs})
    columns = ("pair", "arm", "seed", "display", "exits", *HEADINGS, "cumulative_macs")
    table = pd.DataFrame(measured, columns=columns)
    data, shown = [], []
    for arm in by_arm(table, "pair"):
        for exits, part in arm.groupby("exits", sort=True):
            first = part.iloc[0]
            data.append(
                {
                    **first[["pair", "arm", "exits"]],
                    **part[[*HEADINGS]].mean(),
                    **part[[*HEADINGS]].std().add_suffix("_sd"),
                    "n": len(part),
                    "cumulative_macs": first["cumulative_macs"],
                }
            )
            shown.append(
                {
                    "Pair": first["pair"],
                    "Network": first["display"],
                    "Exits": "1" if exits == 1 else f"1–{exits}",
                    **{text: spread(part[key], n) for key, (text, n) in HEADINGS.items()},
                    "MACs": recorded(first["cumulative_macs"]),
                }
            )
    return Table(
        "ensembles",
        "Ensembles of the first exits, test accuracy: mean ± sd (seeds). Mean logits: what "
        '"ensemble" means in all other tables. Vote: of classes named equally often, the one with '
        "the larger mean logit. Disagreement: images on which two exits name different classes, "
        "mean over pairs of exits; KL: mean over ordered pairs, nats. MACs: of one image through "
        "all of these exits.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )
