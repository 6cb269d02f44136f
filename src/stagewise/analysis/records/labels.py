"""Labels of runs: what sets the arms of a study apart, and the words that readers see for it."""

from collections.abc import Iterator

import pandas as pd

from stagewise.analysis.records.logits import ENSEMBLE

NAN = float("nan")
LABELS: dict[str, str | float] = {
    "pair": "",
    "task": "",
    "network": "",
    "method": "",
    "recipe": "",
    "display": "",
    "chain": "",
    "criterion": "",
    "ratio": NAN,
    "recovery": "",
    "family": "",
    "tuned_arm": "",
    "rate": NAN,
    "stage1_rate": NAN,
    "strength": NAN,
    "common_rate": NAN,
}
"""Label of a run in the plan → what stands where it has none."""

TASKS = {"all": "all classes", "source": "source classes", "target": "target classes"}
BASELINES = {"all": "students/{pair}.baseline", "target": "students/{pair}.pretrained"}
"""Task → the arm that the others of a pair are compared with."""
COMPRESSION = ("pruning", "recovery")
"""Steps whose networks have lost channels, or stand beside such."""
CHAINS = {
    "baseline": "student alone",
    "pretrained": "standard training",
    "two_stage": "two-stage student",
}
"""Chain of pruning → the student that is pruned, in words."""
OTHER_CHAINS = {"pretrained": ", standard chain", "two_stage": ", two-stage chain"}
"""Chain of pruning that is not of the student alone → what is said of its networks."""


def by_arm(rows: pd.DataFrame, *outer: str) -> Iterator[pd.DataFrame]:
    """Each arm's rows, in plan order, arms of equal ``outer`` columns together."""
    for _, part in rows.groupby(list(outer), sort=False):
        yield from (arm for _, arm in part.groupby("arm", sort=False))


def by_rate(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Each arm's rows, pair by pair: arms of tuned rates, then those at each common rate."""
    for _, pair in rows.groupby("pair", sort=False):
        for _, part in pair.groupby(pair["common_rate"].fillna(0.0)):
            yield from (arm for _, arm in part.groupby("arm", sort=False))


def display(row: pd.Series) -> str:
    """A network's name for readers, which says where its ensemble is meant."""
    return f"{row['display']} (ensemble)" if row["exit"] == ENSEMBLE else str(row["display"])


def full_name(row: pd.Series) -> str:
    """A network's name for readers, with the shape of one that was pruned and what it was pruned
    from."""
    if row["chain"] == "":
        return display(row)
    chain = OTHER_CHAINS.get(row["chain"], "")
    return f"{display(row)}, {shape(row)}{chain}" if shape(row) != "dense" else display(row) + chain


def pruned_student(chain: str) -> str:
    """The student that a chain prunes, in words."""
    return CHAINS.get(chain, chain)


def shape(row: pd.Series) -> str:
    """``l2 2×``, or ``dense``."""
    dense = row["criterion"] in ("", "dense")
    return "dense" if dense else f"{row['criterion']} {row['ratio']:g}×"


def is_anew(recovery: str) -> bool:
    """Whether it trains a pruned shape from new weights, by its method in all epochs."""
    return recovery.startswith("scratch")


def dense_students(runs: pd.DataFrame, main: pd.DataFrame, chained: pd.DataFrame) -> pd.DataFrame:
    """Of ``main`` the dense students that a chain starts from: the ``init`` parents, in the plan's
    ``runs``, of its dense or pruned runs."""
    roots = chained[(chained["step"] == "pruning") | (chained["criterion"] == "dense")]["path"]
    parents = runs.set_index("path").loc[roots, "parents"]
    of_chains = main["path"].isin({parent.get("init", "") for parent in parents})
    return main[of_chains & ~main["step"].isin([*COMPRESSION, "pretraining"])]


RECOVERED = {
    "none": "not trained again",
    "bn": "BN re-estimated",
    "ce": "CE",
    "kd": "KD",
    "two_stage_kd": "two-stage KD",
    "two_stage_kd_bn": "two-stage KD, BN first",
    "two_stage_ce": "two-stage CE",
    "rewound_ce": "CE, rewound",
    "rewound_kd": "KD, rewound",
    "self_kd": "KD from dense",
    "scratch_ce": "from scratch, CE",
    "scratch_ce_macs": "from scratch, CE, same MACs",
    "scratch_kd": "from scratch",
    "group_sl": "made sparse",
}
"""Recovery of a pruned network → what it is called where room is short."""
DENSE = {
    "ce": "CE, more epochs",
    "kd": "KD, more epochs",
    "kd_throughout": "KD in all epochs",
    "group_sl": "made sparse",
}
"""The same of the dense networks beside them."""


def short_name(run: pd.Series, *, shape: bool = True) -> str:
    """A network's name where room is short: ``2× KD`` for one that was pruned and recovered, with
    its criterion where that is not the usual one."""
    if run["chain"] == "":
        name = display(run).replace(" (ensemble)", "†")
        return name.replace("teacher's network, student's images", "teacher's network")
    chain = {"pretrained": "standard, ", "two_stage": "two-stage, "}.get(run["chain"], "")
    if run["criterion"] == "dense":
        return f"{chain * shape}{DENSE.get(run['recovery'], str(run['display']))}"
    name = RECOVERED.get(run["recovery"], str(run["display"]))
    criterion = "" if run["criterion"] == "l2" else f"{run['criterion']} "
    return f"{chain}{criterion}{run['ratio']:g}× {name}" if shape else name
