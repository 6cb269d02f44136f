"""The methods of a pair at once, against KD and against the student alone, each a family of tests.

Nobody has to declare a comparison: a pair has one on each task that has a method and something to
compare it with; the config's ``comparison`` may say otherwise. All arms of a task were trained on
the same images, over the same seeds, so a seed's differences to one reference belong together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import pandas as pd

from stagewise.analysis.claims.families import family
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import BASELINES, TASKS, display
from stagewise.study.config.results import Comparison

MANY = 3
"""Methods of a pair from which all are compared with all, too."""
STEPS = {"all": ("distillation", "multi_exit"), "target": ("two_stage",)}
"""Task → the steps whose arms are methods on it."""
KD = {"all": "distillation/{pair}.kd", "target": "two_stage/{pair}.one-stage.kd"}
"""Task → the arm of plain KD."""
ALONE = "baseline"
"""The reference that is no method: the student alone."""


@dataclass(frozen=True)
class PairComparison:
    """The methods of a pair on a task.

    ``arms``: those compared, the best mean first, without the student alone. ``baseline``: the arm
    of the student alone, empty where there is none. ``rows``: a row per arm and seed that stands
    for a network. ``references``: those of the config that the pair has → their arm. ``names``: arm
    → what readers call it. ``plain_macs``: multiply-adds of training by plain KD; NaN where the
    pair has no such arm, or its records do not say.
    """

    pair: str
    task: str
    arms: list[str]
    baseline: str
    rows: pd.DataFrame
    references: dict[str, str]
    names: dict[str, str]
    plain_macs: float

    @property
    def title(self) -> str:
        """The pair, and its task where that is not the usual one."""
        return self.pair if self.task == "all" else f"{self.pair}, {TASKS[self.task]}"

    @cached_property
    def accuracy(self) -> pd.DataFrame:
        """Test accuracy, a row per seed, a column per arm, that of the student alone among them."""
        return self.rows.pivot(index="seed", columns="arm", values="test_accuracy")[self.ranked]

    @cached_property
    def ranked(self) -> list[str]:
        """The arms and the student alone, the best mean first."""
        means = self.rows.groupby("arm", sort=False)["test_accuracy"].mean()
        return [str(arm) for arm in means.sort_values(ascending=False, kind="stable").index]

    def part(self, arm: str) -> pd.DataFrame:
        """An arm's rows."""
        return self.rows[self.rows["arm"] == arm]

    def differences(self, reference: str) -> pd.DataFrame:
        """Seed by seed, of every other arm to an arm: a column each. Arms that lack a seed of it
        are left out, because a family's members share their seeds."""
        control = self.accuracy[reference].dropna()
        others = self.accuracy.drop(columns=reference).loc[control.index]
        return others.dropna(axis=1).sub(control, axis=0)

    def family(self, reference: str) -> pd.DataFrame:
        """Statistics (``families.family``) by arm of the differences to a reference's arm. The
        student alone is no member: the others are compared with it, in the family of its own."""
        columns = self.differences(reference)
        return family(columns.drop(columns=self.baseline, errors="ignore"))

    @cached_property
    def pairwise(self) -> pd.DataFrame:
        """The same by two arms, better mean first, of all differences between two of ``ranked``:
        one family. Arms without all seeds are left out."""
        whole = self.accuracy.dropna(axis=1)
        found = {
            (first, second): whole[first] - whole[second]
            for first, second in combinations(whole.columns, 2)
        }
        return family(pd.DataFrame(found))


def comparisons(results: Results) -> Iterator[PairComparison]:
    """The pairs of a study with their methods, in the order of the config, task by task."""
    for pair in results.study.config["pairs"]:
        for task in STEPS:
            found = _comparison(results, str(pair), task)
            if found:
                yield found


def _comparison(results: Results, pair: str, task: str) -> PairComparison | None:
    """A pair's methods on a task; None where there is nothing to compare."""
    asked, main = settings(results.study.config), results.main
    methods = main["step"].isin(STEPS[task]) & main["rate"].isna() & main["common_rate"].isna()
    methods &= (main["task"] == task) & main["network"].ne("control") & (main["pair"] == pair)
    if asked.methods and task == "all":
        methods &= main["method"].isin(asked.methods)
    ours, alone = main[methods], main[main["arm"] == BASELINES[task].format(pair=pair)]
    arms = ours["arm"].nunique()
    if not arms or arms + bool(len(alone)) < 2:
        return None
    baseline = str(alone["arm"].iloc[0]) if len(alone) else ""
    known = ours.drop_duplicates("arm").set_index("method")["arm"].to_dict()
    known |= {ALONE: baseline} if baseline else {}
    plain = KD[task].format(pair=pair)
    if plain in set(ours["arm"]):
        known["kd"] = plain
    rows = pd.concat([ours, alone])
    means = ours.groupby("arm", sort=False)["test_accuracy"].mean()
    first = rows.drop_duplicates("arm").set_index("arm")
    return PairComparison(
        pair,
        task,
        [str(arm) for arm in means.sort_values(ascending=False, kind="stable").index],
        baseline,
        rows,
        {label: str(known[label]) for label in asked.references if label in known},
        {str(arm): display(row) for arm, row in first.iterrows()},
        float(effort(main[main["arm"] == plain]).mean()),
    )


def effort(rows: pd.DataFrame) -> pd.Series:
    """Multiply-adds of each run's training, the teacher's answers among them; NaN where its record
    does not say."""
    macs: pd.Series = rows["training_macs"] + rows["teacher_macs"]
    return macs


def settings(config: Mapping[str, Any]) -> Comparison:
    """The block ``comparison`` of a plan's config; plans that do not write it have the usual."""
    given = dict(config.get("comparison", {}))
    given.pop("published", None)
    return Comparison(**given)
