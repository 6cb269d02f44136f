"""Differences between arms, seed by seed, with the runs behind each.

An arm that the study repeats at other rates (``recovery.families``) stands at those that are best
on validation images. Arms are paired by seed. A teacher that serves all seeds is, as a control, a
constant: its own variation is not seen, and the note says so. A seed without a value is named, not
passed over.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from stagewise.analysis.claims.statistics import MARGIN, NAN, Paired, moments, paired
from stagewise.analysis.records.labels import BASELINES
from stagewise.analysis.records.logits import FINAL, output_called
from stagewise.analysis.records.shock import MEASURES
from stagewise.papers.claims import ClaimBook, Contrast, Side

TEACHERS = "teachers/"
SHARED = {"teacher": "teacher", "init": "set of features from elsewhere"}
"""Role of a parent that may serve all seeds → what it is."""
Key = tuple[str, str, str]
"""Claim, contrast (its name at its rate) and pair."""

NO_SHOCK = "its runs logged no gradient shock (two_stage.probe)"
OLD_LOGS = (
    "its records' logs lack this measure: they were taken under running batch-norm statistics alone"
)
TOO_SHORT = "its runs are too short for this measure: they end before the steps that it takes"


@dataclass(frozen=True)
class Measured:
    """A contrast in one pair: ``treatment`` and ``control`` (None where the treatment's level is
    judged alone) have a ``value`` and the ``path`` of its run for each seed that both have.

    ``arms``: treatment and control, empty where there is none. ``log``: whether it is analysed on
    the log scale. ``missing``: planned seeds without a value. ``note``: what its interval leaves
    out.
    """

    arms: tuple[str, str]
    treatment: pd.DataFrame
    control: pd.DataFrame | None
    log: bool = False
    missing: tuple[int, ...] = ()
    note: str = ""

    @cached_property
    def differences(self) -> pd.Series:
        """Seed → treatment minus control, or the treatment's value alone, in order of seeds; of
        natural logarithms where it is on the log scale."""
        sides = [
            self._scaled(side["value"])
            for side in (self.treatment, self.control)
            if side is not None
        ]
        return differences(*sides) if len(sides) == 2 else sides[0].sort_index()

    @property
    def shown(self) -> pd.Series:
        """The differences as readers see them: on the log scale treatment over control."""
        return np.exp(self.differences) if self.log else self.differences

    @property
    def seeds(self) -> list[int]:
        """The seeds of ``differences``."""
        return [int(seed) for seed in self.differences.index]

    @property
    def treatment_mean(self) -> float:
        """Mean of the treatment over the seeds, geometric on the log scale."""
        return self._mean(self.treatment)

    @property
    def control_mean(self) -> float:
        """The same of the control; NaN where there is none."""
        return NAN if self.control is None else self._mean(self.control)

    def effect(self, margin: float = MARGIN, null: float = 0.0) -> Paired:
        """Statistics of the differences on their scale; ``null``: the value that is tested;
        ``margin``: within which two arms count as equal."""
        return paired(self.differences, margin, null)

    def runs(self, seed: int) -> list[str]:
        """Paths of the runs behind a seed's difference."""
        sides = [self.treatment] if self.control is None else [self.treatment, self.control]
        return [str(side.at[seed, "path"]) for side in sides]

    def _scaled(self, values: pd.Series) -> pd.Series:
        return np.log(values) if self.log else values

    def _mean(self, side: pd.DataFrame) -> float:
        mean = float(self._scaled(side["value"]).mean())
        return float(np.exp(mean)) if self.log else mean


@dataclass(frozen=True)
class Kept(Measured):
    """A contrast of which only the statistics were kept, and no seeds; not on the log scale.

    ``means``: of treatment and control.
    """

    statistics: Paired = field(default_factory=lambda: Paired(0))
    means: tuple[float, float] = (NAN, NAN)

    @property
    def treatment_mean(self) -> float:
        """Mean of the treatment over the seeds."""
        return self.means[0]

    @property
    def control_mean(self) -> float:
        """Mean of the control over the seeds."""
        return self.means[1]

    def effect(self, margin: float = MARGIN, null: float = 0.0) -> Paired:
        """The statistics, with the tests done again; the sign flips, which need the seeds, stand
        as they were kept, against 0."""
        kept = self.statistics
        if not kept.sd > 0:
            return kept
        flips = {name: getattr(kept, name) for name in ("p_sign_flip", "p_sign_flip_minimum")}
        return moments(kept.n, kept.mean, kept.sd, margin, null, **flips)


def differences(treatment: pd.Series, control: pd.Series) -> pd.Series:
    """Treatment minus control over the seeds that both have, in their order."""
    return (treatment - control).dropna().sort_index()


@dataclass(frozen=True)
class Contrasts:
    """The contrasts of a book in a study.

    ``measured``: those that have values. ``lacking``: those whose arms the study has without the
    values that they need → why.
    """

    measured: dict[Key, Measured] = field(default_factory=dict)
    lacking: dict[Key, str] = field(default_factory=dict)


def measure_contrasts(
    book: ClaimBook,
    pairs: Sequence[str],
    rates: Sequence[float],
    runs: pd.DataFrame,
    summary: pd.DataFrame,
    shock: pd.DataFrame,
) -> Contrasts:
    """Every contrast in every pair, and at every common rate, that has its arms, in the order of
    the book.

    ``runs``: the plan's (arm, seed, path, parents, family). ``shock``: a row per run that logged
    the gradient shock (``shock_table``).
    """
    study = _Study(
        {str(arm): part for arm, part in runs.groupby("arm", sort=False)},
        {str(arm): part for arm, part in summary.groupby("arm", sort=False)},
        {str(arm): part for arm, part in shock.assign(exit=FINAL).groupby("arm", sort=False)},
        {*runs["path"]},
        {*runs["family"]} - {""},
    )
    found = Contrasts()
    for claim in book.claims:
        for pattern in claim.contrasts:
            for contrast, _ in pattern.at_rates(rates):
                for pair in pairs:
                    arms = [study.chosen(side, pair) for side in contrast.sides]
                    if not all(arms):
                        continue
                    key = claim.id, contrast.name, pair
                    measured = study.measure(contrast, arms)
                    if isinstance(measured, Measured):
                        notes = (measured.note, *study.choices(contrast.sides, pair))
                        note = "; ".join(filter(None, notes))
                        found.measured[key] = replace(measured, note=note)
                    else:
                        found.lacking[key] = measured
    return found


@dataclass(frozen=True)
class _Study:
    """Rows by arm: of the plan, of the summary, of the shock's table; all paths of runs, and all
    families of rates."""

    runs: dict[str, pd.DataFrame]
    accuracies: dict[str, pd.DataFrame]
    shock: dict[str, pd.DataFrame]
    paths: set[str]
    families: set[str]

    def there(self, side: Side, pair: str) -> list[str]:
        """The arms of a side in a pair that the study has, each followed by its families."""
        suffixes = ["", *(f".{family}" for family in sorted(self.families))]
        named = (f"{arm}{suffix}" for arm in side.arms(pair) for suffix in suffixes)
        return [arm for arm in named if arm in self.runs]

    def chosen(self, side: Side, pair: str) -> str:
        """The side's arm in a pair: of several the best on validation; empty where the study lacks
        it."""
        arms = self.there(side, pair)
        return max(arms, key=self._validated) if len(arms) > 1 else "".join(arms)

    def choices(self, sides: Sequence[Side], pair: str) -> Iterator[str]:
        """What was taken where a side names several arms, or has several families."""
        for side in sides:
            count = len(self.there(side, pair))
            if count > 1 or len(side.arms(pair)) > 1:
                yield f"{self.chosen(side, pair)} is the best of {count} on validation images"

    def _validated(self, arm: str) -> float:
        """Mean accuracy on validation images; where it has none, below all others."""
        if arm not in self.accuracies:
            return -1.0
        rows = self.accuracies[arm]
        main = rows[(rows["exit"] == output_called(rows["exit"], "main")).to_numpy()]
        mean = float(main["validation_accuracy"].mean())
        return -1.0 if np.isnan(mean) else mean

    def measure(self, contrast: Contrast, arms: list[str]) -> Measured | str:
        """A contrast between arms that the study has, or why it has no value."""
        logged = contrast.measure in MEASURES
        table = self.shock if logged else self.accuracies
        found = []
        for arm, side in zip(arms, contrast.sides, strict=True):
            if arm not in table:
                return NO_SHOCK if logged else f"no run of {arm} has results"
            values = by_seed(table[arm], side, contrast.measure)
            values = values[values["value"] > 0] if contrast.log else values
            if values.empty:
                if logged:
                    return OLD_LOGS if _is_old(table[arm]) else TOO_SHORT
                return f"its records lack the outputs of {arm} that it takes"
            found.append(values)
        treatment, planned = found[0], {*self.runs[arms[0]]["seed"]}
        if len(found) == 1:
            missing = tuple(sorted(planned - {*treatment.index}))
            return Measured((arms[0], ""), treatment, None, contrast.log, missing, self._note(arms))
        control, single = found[1], self._single(arms)
        if single:
            control = control.iloc[[0] * len(treatment)].set_axis(treatment.index)
        else:
            planned |= {*self.runs[arms[1]]["seed"]}
        seeds = treatment.index.intersection(control.index, sort=False)
        if seeds.empty:
            return f"{arms[0]} and {arms[1]} have no seed in common"
        return Measured(
            (arms[0], arms[1]),
            treatment.loc[seeds],
            control.loc[seeds],
            contrast.log,
            tuple(sorted(planned - {*seeds})),
            self._note(arms),
        )

    def _single(self, arms: list[str]) -> bool:
        """Whether the control is one teacher for all seeds."""
        return arms[1].startswith(TEACHERS) and self.runs[arms[1]]["seed"].nunique() == 1

    def _note(self, arms: list[str]) -> str:
        """What the interval leaves out: what one run, of whichever seed, gives to all seeds."""
        if len(self.runs[arms[0]]) < 2:
            return ""
        roles = [role for role in SHARED if any(self._shares(arm, role) for arm in arms)]
        if len(arms) == 2 and self._single(arms) and "teacher" not in roles:
            roles.insert(0, "teacher")
        if not roles:
            return ""
        what = " and ".join(f"one {SHARED[role]}" for role in roles)
        serve, others = ("serves", "another") if len(roles) == 1 else ("serve", "others")
        return f"{what} {serve} all seeds: what {others} would change is not in the interval"

    def _shares(self, arm: str, role: str) -> bool:
        """Whether all seeds of an arm were made from the same run of the study."""
        parents = {each.get(role, "") for each in self.runs[arm]["parents"]}
        return len(self.runs[arm]) > 1 and len(parents) == 1 and parents <= self.paths


def _is_old(shock: pd.DataFrame) -> bool:
    """Whether an arm's logs hold gradients under running statistics alone."""
    known = shock.reindex(columns=["shock_peak", "shock_peak_running"]).notna().any()
    return bool(known["shock_peak_running"] and not known["shock_peak"])


def by_seed(rows: pd.DataFrame, side: Side, measure: str) -> pd.DataFrame:
    """Value and path by seed of one arm's ``rows``: of an output, or of its gain over another
    output of the same run; no row where the measure is not known."""
    if measure not in rows:
        return pd.DataFrame({"path": [], "value": []})
    values = _at(rows, side.exit, measure)
    if side.minus_exit:
        values["value"] -= _at(rows, side.minus_exit, measure)["value"]
    return values[values["value"].notna()]


def _at(rows: pd.DataFrame, output: str, measure: str) -> pd.DataFrame:
    """Path and value by seed of one output."""
    found = rows[(rows["exit"] == output_called(rows["exit"], output)).to_numpy()]
    values = {"path": found["path"].to_numpy(), "value": found[measure].to_numpy(dtype=np.float64)}
    return pd.DataFrame(values, index=pd.Index(found["seed"].to_numpy(), name="seed"))


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
    single = step in ("teachers", "pretraining") and len(part) == 1
    is_paired = arm != baseline and not single
    effect = paired_to(part, main[(main["arm"] == baseline) & is_paired], column)
    return baseline if effect.n else "", effect
