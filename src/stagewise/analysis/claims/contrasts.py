"""Differences between arms, seed by seed, with the runs behind each.

Arms are paired by seed. A teacher serves all seeds: as a control it is a constant, and its own
variation is not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.statistics import Paired, paired
from stagewise.analysis.records.labels import BASELINES
from stagewise.analysis.records.logits import FINAL, output_called
from stagewise.analysis.records.shock import MEASURES
from stagewise.papers.claims import ClaimBook, Contrast, Side

TEACHERS = "teachers/"
Key = tuple[str, str, str]
"""Claim, contrast and pair."""


@dataclass(frozen=True)
class Measured:
    """A contrast in one pair: ``treatment`` and ``control`` (None where the treatment's level is
    judged alone) have a ``value`` and the ``path`` of its run for each seed that both have.

    ``arms``: treatment and control, empty where there is none.
    """

    arms: tuple[str, str]
    treatment: pd.DataFrame
    control: pd.DataFrame | None

    @property
    def differences(self) -> pd.Series:
        """Seed → treatment minus control, or the treatment's value alone, in order of seeds."""
        if self.control is None:
            return self.treatment["value"].sort_index()
        return differences(self.treatment["value"], self.control["value"])

    @property
    def seeds(self) -> list[int]:
        """The seeds of ``differences``."""
        return [int(seed) for seed in self.differences.index]

    def effect(self, margin: float) -> Paired:
        """Statistics of the differences; ``margin``: within which two arms count as equal."""
        return paired(self.differences, margin)

    def runs(self, seed: int) -> list[str]:
        """Paths of the runs behind a seed's difference."""
        sides = [self.treatment] if self.control is None else [self.treatment, self.control]
        return [str(side.at[seed, "path"]) for side in sides]


def differences(treatment: pd.Series, control: pd.Series) -> pd.Series:
    """Treatment minus control over the seeds that both have, in their order."""
    return (treatment - control).dropna().sort_index()


def measure_contrasts(
    book: ClaimBook, pairs: Sequence[str], summary: pd.DataFrame, shock: pd.DataFrame
) -> dict[Key, Measured]:
    """Every contrast in every pair that has its arms and outputs, in the order of the book.

    ``shock``: a row per run that logged the gradient shock (``shock_table``).
    """
    found = {}
    tables = dict.fromkeys(MEASURES, shock.assign(exit=FINAL))
    for claim in book.claims:
        for contrast in claim.contrasts:
            rows = tables.get(contrast.measure, summary)
            for pair in pairs:
                if measured := _measured(contrast, pair, rows):
                    found[claim.id, contrast.name, pair] = measured
    return found


def _measured(contrast: Contrast, pair: str, rows: pd.DataFrame) -> Measured | None:
    """A contrast in one pair; None where the study lacks an arm or an output."""
    sides = [side for side in (contrast.treatment, contrast.control) if side]
    arms = [side.arm.format(pair=pair) for side in sides]
    found = [
        by_seed(rows[rows["arm"] == arm], side, contrast.measure)
        for arm, side in zip(arms, sides, strict=True)
    ]
    if any(values.empty for values in found):
        return None
    if len(found) == 1:
        return Measured((arms[0], ""), found[0], None)
    treatment, control = found
    if arms[1].startswith(TEACHERS):
        control = control.iloc[[0] * len(treatment)].set_axis(treatment.index)
    seeds = treatment.index.intersection(control.index, sort=False)
    return Measured((arms[0], arms[1]), treatment.loc[seeds], control.loc[seeds])


def by_seed(rows: pd.DataFrame, side: Side, measure: str) -> pd.DataFrame:
    """Value and path by seed of one arm's ``rows``: of an output, or of its gain over another
    output of the same run; no row where the measure is not known."""
    found = _at(rows, side.exit)
    values = found[["path"]].assign(value=found[measure].astype(float))
    if side.minus_exit:
        values["value"] -= _at(rows, side.minus_exit)[measure]
    return values.dropna()


def _at(rows: pd.DataFrame, output: str) -> pd.DataFrame:
    return rows[rows["exit"] == output_called(rows["exit"], output)].set_index("seed")


def paired_to(treatment: pd.DataFrame, control: pd.DataFrame, column: str) -> Paired:
    """Paired difference of a column of two groups of rows."""
    left, right = (part.set_index("seed")[column] for part in (treatment, control))
    return paired(differences(left, right))


def against_baseline(
    main: pd.DataFrame, part: pd.DataFrame, column: str = "test_accuracy"
) -> tuple[str, Paired]:
    """The baseline of an arm's task (``BASELINES``; empty where it has none), and the paired
    difference to it."""
    pair, task, arm, step = part[["pair", "task", "arm", "step"]].iloc[0]
    baseline = BASELINES.get(task, "").format(pair=pair)
    # A single teacher is no paired arm: its one seed against one baseline would look like one.
    is_paired = arm != baseline and step not in ("teachers", "pretraining")
    effect = paired_to(part, main[(main["arm"] == baseline) & is_paired], column)
    return baseline if effect.n else "", effect
