"""Does a way of computing change accuracy? One study beside the same study computed otherwise.

Both studies have the same arms and seeds; differences are paired by arm and seed. Two one-sided
t-tests (TOST) at 5 % decide: *equivalent* where the 90 % interval of the mean difference lies
within ± margin. Not equivalent does not mean different: the seeds that would still be needed stand
beside it.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from stagewise.analysis.claims.statistics import ALPHA, NAN, equivalence_p
from stagewise.analysis.claims.wording import number
from stagewise.analysis.records.summary import main_outputs
from stagewise.errors import UserError

ALL_ARMS = "all arms (mean)"
CPU_MARGIN = 1.0
"""Least margin, in points, of a study that ran on CPUs: such studies are small, and a tighter claim
about the papers' own scale would not follow from them."""
MOST_SEEDS = 10_000


def compare(first: pd.DataFrame, second: pd.DataFrame, margin: float) -> pd.DataFrame:
    """A row per arm, and one for the mean over arms: second − first, test accuracy in points.

    Columns: arm, n, first, second (means), mean, sd, low, high (90 % interval), p_equivalence,
    verdict, seeds_needed (for 80 % power if there is no difference at all).

    Raises:
        UserError: the studies share no arm and seed, or the margin is too tight for CPU records.
    """
    devices = {*first["device"], *second["device"]} - {""}
    if margin < CPU_MARGIN and devices != {"cuda"}:
        raise UserError(
            f"equivalence.margin: {margin:g} points need records from GPUs, these are from"
            f" {', '.join(sorted(devices))}; use {CPU_MARGIN:g} or more"
        )
    keys = ["arm", "seed"]
    trained = (main_outputs(part).query("epochs > 0") for part in (first, second))
    columns = [part.set_index(keys)["test_accuracy"] for part in trained]
    both = pd.concat(columns, axis=1, keys=["first", "second"], join="inner").reset_index()
    if both.empty:
        raise UserError("equivalence.study: the two studies share no arm and seed")
    arms = [(str(arm), part) for arm, part in both.groupby("arm", sort=False)]
    several = both.groupby("arm")["seed"].transform("size") > 1
    mean = both[several].groupby("seed", as_index=False)[["first", "second"]].mean()
    return pd.DataFrame([_row(arm, part, margin) for arm, part in [(ALL_ARMS, mean), *arms]])


def _row(arm: str, part: pd.DataFrame, margin: float) -> dict[str, object]:
    differences = (part["second"] - part["first"]).to_numpy()
    n, mean = len(differences), float(differences.mean()) if len(differences) else NAN
    sd = float(differences.std(ddof=1)) if n > 1 else NAN
    row: dict[str, object] = {
        "arm": arm,
        "n": n,
        "first": part["first"].mean(),
        "second": part["second"].mean(),
        "mean": mean,
        "sd": sd,
    }
    half = stats.t.ppf(1 - ALPHA, n - 1) * sd / math.sqrt(n) if n > 1 else NAN
    # Without any spread the tests have nothing to divide by; the difference speaks for itself.
    p = equivalence_p(differences, margin) if sd > 0 else float(abs(mean) >= margin)
    p = p if n > 1 else NAN
    return row | {
        "low": mean - half,
        "high": mean + half,
        "p_equivalence": p,
        "verdict": "one seed" if n < 2 else "equivalent" if p < ALPHA else "not shown",
        "seeds_needed": seeds_needed(sd, margin),
    }


def seeds_needed(sd: float, margin: float, power: float = 0.8) -> float:
    """Least number of pairs with which TOST shows equivalence with this power, if the true
    difference is zero; NaN where the spread is unknown or more than 10,000 were needed."""
    if not sd >= 0:
        return NAN
    for n in range(2, MOST_SEEDS):
        if sd == 0 or _power(n, margin * math.sqrt(n) / sd) >= power:
            return n
    return NAN


def _power(n: int, shift: float) -> float:
    """Power of TOST at no difference; ``shift``: the margin in standard errors."""
    critical = stats.t.ppf(1 - ALPHA, n - 1)
    return max(0.0, 2 * float(stats.nct.sf(critical, n - 1, shift)) - 1)


def _interval(mean: float, low: float, high: float) -> str:
    bracket = f" [{number(low)}, {number(high)}]" if np.isfinite(low) else ""
    return number(mean) + bracket


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table for readers."""
    text = {
        "Arm": table["arm"],
        "n": table["n"].astype(str),
        "First, %": table["first"].map("{:.2f}".format),
        "Second, %": table["second"].map("{:.2f}".format),
        "Second − first [90 %], points": [
            _interval(mean, low, high)
            for mean, low, high in table[["mean", "low", "high"]].to_numpy(float)
        ],
        "TOST p": table["p_equivalence"].map("{:.3g}".format),
        "Verdict": table["verdict"],
        "Seeds needed": ["–" if np.isnan(n) else f"{n:.0f}" for n in table["seeds_needed"]],
    }
    return pd.DataFrame(text).replace("nan", "–")
