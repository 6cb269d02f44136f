"""Where exits look beside where their teachers' look: Grad-CAM maps, compared."""

import pandas as pd

from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import paired
from stagewise.analysis.records.gradcam import SMALLEST
from stagewise.analysis.records.labels import by_arm
from stagewise.analysis.records.logits import FINAL
from stagewise.analysis.tables.cells import costs, difference_columns, interval, level, loss, spread
from stagewise.analysis.tables.table import Table

POSITION = 13
"""Place among the tables."""
SAME = ["pair", "seed", "exit", "teacher", "teacher_exit"]
"""What two maps must have in common for their likeness to be compared."""


def make(results: Results) -> Table:
    """Each student's exits, against those of its teacher."""
    given = pd.DataFrame() if results.gradcam is None else results.gradcam
    data, shown = [], []
    if len(given):
        main = results.main.drop_duplicates("arm").set_index("arm")
        taken = results.summary.groupby(["arm", "exit"])[["parameters", "macs"]].mean()
        known = given[given["images"] > 0].assign(against=_against_untaught(given))
        for arm in by_arm(known, "pair"):
            for exit, part in arm.groupby("exit", sort=False):
                first, side = part.iloc[0], part.iloc[0]["teacher_side"]
                rho, effect = paired(part["spearman"]), paired(part["against"].dropna())
                overlap = paired(100 * part["overlap"])
                cost = taken.loc[(first["arm"], exit)]
                data.append(
                    {
                        **first[["pair", "arm", "exit", "side", "teacher_exit", "teacher_side"]],
                        "n": len(part),
                        "images": part["images"].mean(),
                        "spearman_mean": rho.mean,
                        "spearman_sd": rho.sd,
                        "spearman_low": rho.low,
                        "spearman_high": rho.high,
                        "overlap_mean": overlap.mean / 100,
                        "overlap_sd": overlap.sd / 100,
                        "overlap_low": overlap.low / 100,
                        "overlap_high": overlap.high / 100,
                        **difference_columns(effect),
                        **cost,
                    }
                )
                shown.append(
                    {
                        "Pair": first["pair"],
                        "Network": first["display"],
                        "Exit": exit,
                        "Beside": f"teacher's {first['teacher_exit']}, {side}×{side} pixels",
                        "Loss": loss(main.loc[first["arm"]]),
                        "Spearman's ρ": interval(rho, 2),
                        "ρ minus untaught": interval(effect, 2),
                        "Overlap of tops, %": f"{spread(100 * part['overlap'])} {level(overlap)}",
                        **costs(cost),
                    }
                )
    return Table(
        "gradcam",
        "Grad-CAM: whether an exit looks where its teacher's exit of the same place looks, the "
        "last where the teacher's last does. Maps of an image's own class at the tap that the exit "
        "gets, on a fixed draw of test images, brought to the images' size; means over images "
        "whose maps are no plain surface. Spearman's ρ over pixels: mean over seeds with its 95 % "
        "t interval. Minus untaught: paired by seed with the same exit of the student that had the "
        "labels alone. Overlap: intersection over union of the top 20 % of both maps, mean ± "
        "sd (seeds) and the mean's interval; two tops by chance overlap by "
        f"11 %.{_left_out(given)}",
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty=f"This study compared no maps: it has no such runs, none of at least {SMALLEST}×"
        f"{SMALLEST} pixels, or was told not to.",
    )


def _against_untaught(given: pd.DataFrame) -> pd.Series:
    """By row, ρ minus that of the student taught by the labels alone, with exits where the row's
    has some, beside the same map; NaN of that student itself, and where there is none."""
    exits, pairs = given["exit"] != FINAL, given["pair"]
    control = ("multi_exit/" + pairs + ".ce").where(exits, "students/" + pairs + ".baseline")
    untaught = given[given["arm"] == control].set_index(SAME)["spearman"]
    found = given.join(untaught.rename("untaught"), on=SAME)
    return (found["spearman"] - found["untaught"]).where(given["arm"] != control)


def _left_out(given: pd.DataFrame) -> str:
    """A sentence on the exits whose maps are too small."""
    if given.empty:
        return ""
    small = given[given[["side", "teacher_side"]].min(axis=1) < SMALLEST]
    exits = dict.fromkeys(
        f"{exit} ({side}×{side})"
        for exit, side in small[["exit", "side"]].itertuples(index=False, name=None)
    )
    why = f"maps under {SMALLEST}×{SMALLEST} pixels have too few places to tell one from another"
    return f" Left out, as {why}: exit {', '.join(exits)}." if exits else ""
