"""The Pareto front: networks that none of no greater cost equals."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stagewise.analysis.claims.recovery import at_better_rates

NEVER = ("none", "bn")
"""Recoveries that train nothing: such networks are on the way, nobody would use them. Nor would
they those of controls: pruned at random, or the teacher's network on the student's images."""


def usable(main: pd.DataFrame) -> pd.DataFrame:
    """The rows of networks that somebody could use, at rates of their own; of recoveries at the
    family of rates that is best on validation images."""
    main = at_better_rates(main)
    kept = main["common_rate"].isna()
    kept &= (main["criterion"] != "random") & (main["step"] != "pretraining")
    kept &= ~main["recovery"].isin(NEVER) & (main["task"] != "source")
    teacher = (main["name"] == main["pair"]) | (main["name"] == main["pair"] + ".target")
    kept &= (main["network"] != "teacher") | (teacher & (main["step"] == "teachers"))
    return main[kept]


def frontier(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Of name → (cost, accuracy) those that no cheaper one equals, the cheapest first."""
    best, found = -np.inf, []
    for name, (_, accuracy) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1])):
        if accuracy > best:
            best = accuracy
            found.append(name)
    return found
