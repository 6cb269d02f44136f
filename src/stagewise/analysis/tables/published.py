"""Measured beside published test accuracy, where both are of the same thing.

The same method has other numbers with and without KD, and at the best and the last epoch: a
"method" never stands beside a "method + KD", and a value of another protocol says so.
"""

from typing import Any

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.tables.cells import costs, plus_minus
from stagewise.analysis.tables.table import Table
from stagewise.papers.published_values import BEST_EPOCH, KEY, load_published_values

POSITION = 1
"""Place among the tables."""

ROLES = ("teacher", "student")
MEASURED = [
    *("pair", "arm", "display", *KEY, "weights", "mean", "sd", "n"),
    *("parameters", "macs", "selection", "epochs", "images"),
]
PUBLISHED = [
    *("value", "sd_published", "n_published", "difference"),
    *("protocol", "protocol_differs", "source", "address", "note"),
]
BIAS = (
    "Best epochs on test read about 0.3 points higher than last epochs (0.32 on average over 54 "
    "public training logs, 0.09 to 1.01), so a difference of that size means nothing."
)


AUDIT = (
    "In paper B's tables the last exit alone stands −0.83 to +2.05 points from a single network "
    "with KD, below it on both pairs with VGG8, while the ensemble of exits adds 0.77 to 3.62 "
    "points to its last exit. There the published gain is the ensemble's, which is set against "
    "single networks; claim B1b compares it with networks of equal cost and with ensembles."
)
"""Where paper B's gain comes from, by its own numbers (science §3.1)."""
PAPER_B = "MSKD paper"


def full_size(config: dict[str, Any], pair: str, role: str) -> str | None:
    """A pair's network; None where it is none of the zoo (records may be older than it), or an
    option, such as its width, is not the published one."""
    entry = config["pairs"][pair][role]
    name = str(entry["network"])
    if name not in catalogue.networks():
        return None
    defaults = catalogue.network_options(name)
    return name if {**defaults, **entry} == {**defaults, "network": name} else None


def identity(row: pd.Series, config: dict[str, Any], methods: set[str]) -> dict[str, Any] | None:
    """``KEY`` of a row of the summary; None where it can have no published twin.

    A variant of a method has its file's name, unless its label is the name of a published method
    (``methods``). A method that holds KD of its own counts as itself only with that KD.
    """
    networks = {role: full_size(config, row["pair"], role) for role in ROLES}
    if row["loss"] == "ce":
        networks = {role: networks[role] if role == row["network"] else "" for role in ROLES}
    found = method_identity(row, config, methods)
    if None in networks.values() or found is None:
        return None
    return {"dataset": config["data"]["source"], **networks, **found}


OTHERWISE = ("training", "recipe", "exits", "teacher_exits")
"""Keys of an entry in ``methods`` that make its variant another thing than was published: images
of its own, say."""


def method_identity(
    row: pd.Series, config: dict[str, Any], methods: set[str]
) -> dict[str, Any] | None:
    """What ``KEY`` says of a row's method, whatever its data and networks; None of a variant that
    is trained ``OTHERWISE``."""
    if row["loss"] not in catalogue.methods():
        return None
    entry = config.get("methods", {}).get(row["method"], {})
    if row["method"] not in methods and any(key in entry for key in OTHERWISE):
        return None
    own_kd = catalogue.method_weights(row["loss"]).get("kd", 0) > 0
    with_kd = bool(row["kd_weight"] > 0)
    if own_kd and not with_kd:
        return None
    method = row["network"] if row["loss"] == "ce" else row["method"]
    return {
        "method": method if method in methods else row["loss"],
        "plus_kd": with_kd and not own_kd,
        "exit": row["exit"],
    }


def measured(results: Results) -> pd.DataFrame:
    """A row (``MEASURED``) per arm and exit that could have a published twin: networks of full
    size, trained from scratch, in one stage, on all classes of the data set."""
    config, summary = results.study.config, results.summary
    methods = set(load_published_values()["method"])
    starts = results.study.runs.set_index("path")["parents"]
    images = config["data"]["student_images_per_class"]
    whole = (summary["task"] == "all") & (summary["recipe"] == "one_stage")
    whole &= ~summary["network"].isin(["assistant", "control"])  # they are no pair's student
    whole &= (summary["chain"] == "") & (summary["tuned_arm"] == "")
    rows = []
    for part in by_arm(summary[whole & (not config["data"].get("classes"))], "pair", "exit"):
        first, test = part.iloc[0], part["test_accuracy"]
        key = identity(first, config, methods)
        if key is None or "init" in starts[first["path"]]:
            continue
        few = images and first["step"] != "teachers"
        numbers = {"mean": test.mean(), "sd": test.std(), "n": len(part)}
        seen = {"images": f"{images} images a class" if few else "all images"}
        rows.append({**first, **key, **numbers, **seen})
    return pd.DataFrame(rows, columns=MEASURED)


def compare(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Measured rows beside every published value of the same ``KEY``, in measured order.

    ``measured`` has ``KEY``, ``mean`` (percent) and ``selection`` (the epoch that is reported).
    Added: the columns of ``published``, ``difference`` (measured minus published, points) and
    ``protocol_differs``. A value that may or may not include KD stands beside both; its note says
    so.
    """
    unclear = published["plus_kd"].isna()
    both = [published[unclear].assign(plus_kd=value) for value in (False, True)]
    told = pd.concat([published[~unclear], *both])
    told["plus_kd"] = told["plus_kd"].astype(bool)
    table = measured.merge(told, on=KEY, suffixes=("", "_published"))
    table["difference"] = table["mean"] - table["value"]
    table["protocol_differs"] = table["protocol"] != table["selection"]
    return table


def protocol_warning(compared: pd.DataFrame) -> str:
    """What to bear in mind of ``compare``'s rows; empty where the protocols are the same."""
    count = int((compared["protocol_differs"] & (compared["protocol"] == BEST_EPOCH)).sum())
    if not count:
        return ""
    return f"{count} of {len(compared)} published values are of the best epoch on test. {BIAS}"


def make(results: Results) -> Table:
    """Measured beside published, where data set, networks, method, KD and exit are the same."""
    data = compare(measured(results), load_published_values())
    shown = [
        {
            "Pair": row["pair"],
            "Method": f"{row['display']}{' + KD' if row['plus_kd'] else ''}",
            "Exit": row["exit"],
            "Loss": row["weights"],
            "Measured, %": plus_minus(row["mean"], row["sd"], row["n"]),
            "Published, %": plus_minus(
                row["value"], row["sd_published"], row["n_published"], digits=2
            ),
            "Difference, points": number(row["difference"]),
            **costs(row),
            "Ours": f"{row['selection']} of {row['epochs']}, {row['images']}",
            "Theirs": f"{row['protocol']}{' (differs)' if row['protocol_differs'] else ''}",
            "Source": "; ".join(filter(None, (row["source"], row["note"]))),
        }
        for row in data.to_dict("records")
    ]
    caption = (
        "Measured beside published test accuracy of the same data set, networks, method, KD or "
        "not, and exit: mean ± sd (runs). Difference: measured minus published. Protocol: the "
        "epoch that is reported."
    )
    warning = protocol_warning(data)
    audit = AUDIT if data["source"].str.startswith(PAPER_B).any() else ""
    return Table(
        "published",
        " ".join(filter(None, (caption, warning, audit))),
        data[[*MEASURED, *PUBLISHED]],
        pd.DataFrame(shown),
        empty="No published value is for this data set and pair.",
        warning=warning,
    )
