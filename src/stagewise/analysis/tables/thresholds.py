"""Early exit as a product: operating points that validation images chose, on test images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.records.early_exit import POINTS, WITHIN, EarlyExit, early_exits
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.records.logits import ENSEMBLE, output_names
from stagewise.analysis.records.metrics import Floats
from stagewise.analysis.tables.cells import count, difference_columns, interval, loss, spread
from stagewise.analysis.tables.table import Table

POSITION = 12
"""Place among the tables."""


def make(results: Results) -> Table:
    """Each student with exits, by each score, at each operating point."""
    times = exit_times(results)
    measured = [
        _measured(found, point, times) for found in early_exits(results.study) for point in POINTS
    ]
    main = results.main.drop_duplicates("arm").set_index("arm")
    table = pd.DataFrame([row for row in measured if row])
    data, shown = [], []
    for arm in by_arm(table, "pair") if len(table) else ():
        for (score, point), part in arm.groupby(["score", "point"], sort=False):
            first, effect = part.iloc[0], paired(part.set_index("seed")["minus_last"])
            shares = part[[name for name in part if str(name).startswith("share_")]].mean().dropna()
            data.append(
                {
                    **first[["pair", "arm", "score", "point"]],
                    "n": len(part),
                    "threshold": part["threshold"].mean(),
                    "validation_mean": part["validation"].mean(),
                    "mean": part["test"].mean(),
                    "sd": part["test"].std(),
                    **difference_columns(effect),
                    "parameters": main.loc[first["arm"], "parameters"],
                    "macs": part["macs"].mean(),
                    "macs_sd": part["macs"].std(),
                    "macs_share": part["macs_share"].mean(),
                    "milliseconds": part["milliseconds"].mean(),
                    "milliseconds_share": part["milliseconds_share"].mean(),
                    **shares,
                }
            )
            shown.append(
                {
                    "Pair": first["pair"],
                    "Network": first["display"],
                    "Loss": loss(main.loc[first["arm"]]),
                    "Leaves by": score,
                    "Point": point,
                    "Test accuracy, %": spread(part["test"]),
                    "Minus last exit, points": interval(effect),
                    "Parameters": count(main.loc[first["arm"], "parameters"]),
                    "MACs": count(part["macs"].mean()),
                    "Of all exits, %": spread(100 * part["macs_share"], 0),
                    "Latency, ms": _latency(part),
                    "Leave at exit 1, 2, …, %": " / ".join(f"{100 * s:.0f}" for s in shares),
                }
            )
    return Table(
        "thresholds",
        "Early exit: an image leaves at the first exit that is sure enough, by one threshold for "
        "all exits on the largest probability, on minus the entropy, or on the largest probability "
        "minus the second. Each seed's thresholds were chosen on its validation images alone: as "
        f"accurate, the fewest MACs within {WITHIN:g} points of the last exit; half, the most "
        "accurate with at most half of the MACs of passing all exits; best, the most accurate. "
        "Test accuracy: mean ± sd (seeds); difference to the same network's last exit with its "
        "95 % t interval. MACs and, where exits were timed, latency of one image alone: mean over "
        "test images, those of the exits passed among them.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="This study has no such runs, or held no images out to choose thresholds on, or its "
        "records are older than cumulative MACs.",
    )


def exit_times(results: Results) -> dict[str, Floats]:
    """Arm → milliseconds of one image alone to each exit, past those before it."""
    alone = results.timed[results.timed["batch"] == 1]
    found = {}
    for arm, part in alone.groupby("arm", sort=False):
        by_exit = part.set_index("exit")["milliseconds"]
        names = output_names(len(by_exit))[:-2]
        if {*by_exit.index} == {*names, ENSEMBLE}:
            found[str(arm)] = by_exit[[*names, ENSEMBLE]].to_numpy(dtype=np.float64)
    return found


def _latency(part: pd.DataFrame) -> str:
    """What an image takes, and of passing all exits."""
    if part["milliseconds"].isna().all():
        return "–"
    return f"{part['milliseconds'].mean():.2f} ({100 * part['milliseconds_share'].mean():.0f} %)"


def _measured(found: EarlyExit, point: str, times: Mapping[str, Floats]) -> dict[str, Any]:
    """A run's numbers at an operating point; empty where it has none."""
    place = found.chosen(point)
    if place is None:
        return {}
    test, run = found.test, found.run
    taken = times.get(str(run["arm"]), np.full(test.shares.shape[1], np.nan))
    passed = float(test.shares[place] @ taken)
    shares = {f"share_{k + 1}": share for k, share in enumerate(test.shares[place])}
    return {
        **{key: run[key] for key in ("pair", "arm", "seed", "display")},
        "score": found.score,
        "point": point,
        "threshold": test.thresholds[place],
        "validation": found.validation.accuracy[place],
        "test": test.accuracy[place],
        "minus_last": test.accuracy[place] - test.accuracy[-1],
        "macs": test.macs[place],
        "macs_share": test.macs[place] / test.macs[-1],
        "milliseconds": passed,
        "milliseconds_share": passed / float(taken[-1]),
        **shares,
    }
