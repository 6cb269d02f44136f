"""What recovery gives back of what pruning took, and whose doing it is (science §6.4).

Given back, of an arm: its accuracy minus that of the pruned network without any training, over what
pruning took from the dense student. Whose doing: four differences between arms of one shape, at the
same rates. Where the study has several families of rates, ``BETTER`` takes each arm at the one that
is best on validation images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stagewise.analysis.claims.contrasts import differences, paired_to
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired, ratio_of_means
from stagewise.analysis.records.labels import dense_students

BETTER = "better"
"""The family of rates that is chosen for each arm."""


@dataclass(frozen=True)
class Doing:
    """A difference between two recoveries, named by what they differ in; ``dense``: the control is
    the dense student's."""

    name: str
    treatment: str
    control: str
    dense: bool = False


DOINGS = {
    "kd": Doing("KD", "kd", "ce"),
    "two_stages": Doing("two stages", "two_stage_kd", "kd"),
    "inheritance": Doing("inherited weights", "kd", "scratch_kd"),
    "sparsity": Doing("sparsity", "two_stage_kd", "kd", dense=True),
}
"""The four differences."""


@dataclass(frozen=True)
class Point:
    """A shape of a pair's chain at a family of rates, its own where that is empty.

    ``dense``, ``pruned``: rows of what was pruned, and of what that left. ``arms``, ``beside``:
    recovery → rows of the pruned network, of the dense one.
    """

    pair: str
    chain: str
    criterion: str
    ratio: float
    family: str
    dense: pd.DataFrame
    pruned: pd.DataFrame
    arms: dict[str, pd.DataFrame]
    beside: dict[str, pd.DataFrame]

    @property
    def damage(self) -> Paired:
        """Pruned minus dense, points."""
        return paired_to(self.pruned, self.dense, "test_accuracy")

    def given_back(self, recovery: str) -> Paired:
        """The share of the damage that a recovery gives back."""
        dense, pruned, arm = (
            rows.set_index("seed")["test_accuracy"]
            for rows in (self.dense, self.pruned, self.arms[recovery])
        )
        taken, gained = differences(dense, pruned), differences(arm, pruned)
        both = gained.to_frame("gained").join(taken.rename("taken"), how="inner")
        return ratio_of_means(both["gained"], both["taken"])

    def effect(self, doing: Doing) -> Paired:
        """One of the four differences, points; without values where an arm is not there."""
        controls = self.beside if doing.dense else self.arms
        if doing.treatment not in self.arms or doing.control not in controls:
            return Paired(0)
        return paired_to(self.arms[doing.treatment], controls[doing.control], "test_accuracy")


def points(results: Results) -> Iterator[Point]:
    """Every shape that the study prunes, at every family of rates."""
    main = results.main
    rows = main[(main["chain"] != "") & (main["tuned_arm"] == "")]
    for (pair, chain), part in rows.groupby(["pair", "chain"], sort=False):
        dense = dense_students(results.study.runs, main, part)
        is_dense = part["criterion"] == "dense"
        shapes = part[~is_dense].groupby(["criterion", "ratio"], sort=False)
        for (criterion, _), shape in shapes:
            ratio = float(shape["ratio"].iloc[0])
            pruned = shape[shape["recovery"] == "none"]
            own, beside = _by_family(shape[shape["step"] == "recovery"]), _by_family(part[is_dense])
            for family, arms in own.items():
                named = str(pair), str(chain), str(criterion), ratio, family
                yield Point(*named, dense, pruned, arms, beside.get(family, {}))


def at_better_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks with each recovery at one family of rates, the best on validation images."""
    arms = ["pair", "chain", "criterion", "ratio", "recovery"]
    kept = []
    for _, part in rows.groupby([*arms, "step"], sort=False, dropna=False):
        families = [family for _, family in part.groupby("family", sort=False)]
        kept += [max(families, key=_validated)] if (part["family"] != "").any() else [part]
    return rows.loc[rows.index.isin(pd.concat(kept).index)] if kept else rows


def _by_family(rows: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Family of rates → recovery → rows; with ``BETTER`` last where there are several."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for (family, recovery), part in rows.groupby(["family", "recovery"], sort=False):
        found.setdefault(str(family), {})[str(recovery)] = part
    if len(found) > 1:
        every = {recovery: None for arms in found.values() for recovery in arms}
        found[BETTER] = {
            recovery: max((a[recovery] for a in found.values() if recovery in a), key=_validated)
            for recovery in every
        }
    return found


def _validated(rows: pd.DataFrame) -> float:
    """Mean accuracy on validation images; below all others where there is none."""
    mean = float(rows["validation_accuracy"].mean())
    return mean if np.isfinite(mean) else -1.0
