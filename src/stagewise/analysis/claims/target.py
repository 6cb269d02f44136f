"""Whether a study found a network that reaches its target.

Speed and size are those of the files, medians over seeds. Accuracy is a question of
non-inferiority: the candidate's test accuracy minus the reference's, seed by seed, its 95 %
interval against the ``loss`` that the target allows.

==================  ================================================================
meets the target    all goals are reached, and the whole interval lies above −loss
misses it           a goal is not reached, or the whole interval lies below −loss
not decided         the interval contains −loss, or there is none
==================  ================================================================

Of the candidates that reach the goals the one with the best mean validation accuracy is taken, and
of its seeds the one with the best validation accuracy ships: test images choose nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.results import Results
from stagewise.analysis.claims.statistics import Paired, paired, seeds_to_detect
from stagewise.analysis.records.candidates import CANDIDATE, REFERENCE
from stagewise.study.goals import BUSY, QUANTITIES, amount, bound

MEETS, MISSES, OPEN = "meets the target", "misses the target", "not decided"
BETTER = {
    "latency": "faster on this machine",
    "macs": "fewer multiply-adds",
    "parameters": "fewer weights",
    "bytes": "smaller",
}
"""Quantity → what a factor of it is called."""
UNITS = {"latency": "ms", "macs": "multiply-adds", "parameters": "weights", "bytes": "bytes"}


@dataclass(frozen=True)
class Judged:
    """A candidate over all seeds.

    ``rows``: of ``candidates.csv``. ``taken``: quantity → median over seeds; ``times``: quantity →
    by what factor that is less than the reference's. ``missed``: goals that are not reached.
    ``effect``: test accuracy minus the reference's, in points.
    """

    rows: pd.DataFrame
    taken: dict[str, float]
    times: dict[str, float]
    missed: tuple[str, ...]
    effect: Paired
    loss: float

    @property
    def verdict(self) -> str:
        """One of the three of the module's docstring."""
        if self.missed or self.effect.high < -self.loss:
            return MISSES
        return MEETS if self.effect.low > -self.loss else OPEN

    @property
    def validation(self) -> float:
        """Mean validation accuracy in percent."""
        return float(self.rows["validation_accuracy"].mean())

    @property
    def name(self) -> str:
        """``resnet18, pruned 2.1×, int8``."""
        first = self.rows.iloc[0]
        pruned = f", pruned {first['ratio']:g}×" if first["ratio"] > 1 else ""
        return f"{first['pair']}{pruned}, {first['form']}"

    @property
    def shipped(self) -> pd.Series:
        """The row of the seed that ships."""
        return self.rows.iloc[int(self.rows["validation_accuracy"].to_numpy().argmax())]

    @property
    def more_seeds(self) -> float:
        """How many more seeds would decide, with 80 % power, were the mean and the spread the true
        ones; NaN where nobody can say."""
        needed = seeds_to_detect(self.effect.mean + self.loss, self.effect.sd)
        return max(1.0, needed - self.effect.n) if np.isfinite(needed) else float("nan")


@dataclass(frozen=True)
class TargetResult:
    """All candidates, the best first, and the reference's rows; ``asked``: the target's block."""

    judged: list[Judged]
    reference: pd.DataFrame
    asked: Mapping[str, Any]

    @property
    def chosen(self) -> Judged:
        """What ships."""
        return self.judged[0]

    @property
    def against(self) -> str:
        """The reference in words."""
        return {"student": "the whole student", "teacher": "the teacher"}[self.asked["against"]]

    @property
    def goals(self) -> dict[str, str | float]:
        """Quantity → goal."""
        return {name: self.asked[name] for name in QUANTITIES if self.asked.get(name) is not None}

    def bound(self, quantity: str) -> float:
        """What must not be exceeded of a quantity that is asked for."""
        return bound(self.goals[quantity], float(self.reference[quantity].median()))

    @property
    def sentence(self) -> str:
        """What a manager reads."""
        best, effect = self.chosen, self.chosen.effect
        gains = [f"{best.times[name]:.1f}× {BETTER[name]}" for name in self.goals]
        said = f"{best.name}: {' and '.join(gains)} than {self.against}, {_worse(effect)}"
        return f"{said}: {best.verdict}{self._why(best)}."

    def _why(self, best: Judged) -> str:
        if best.verdict == MISSES:
            asked = [f"{amount(self.bound(name))} {UNITS[name]}" for name in best.missed]
            asked += [f"{best.loss:g} points worse"] * bool(best.effect.high < -best.loss)
            return f", which is at most {' and at most '.join(asked)}"
        if best.verdict == OPEN:
            more = best.more_seeds
            if np.isfinite(more):
                return f": {more:.0f} more seed{'s' * (more > 1)} would"
            return ": more seeds would" if best.effect.n > 1 else ": one seed cannot tell, six may"
        return ""

    @property
    def busy(self) -> bool:
        """Whether other processes used the machine while the files were timed."""
        return bool(self.reference["others"].max() > BUSY)


def _worse(effect: Paired) -> str:
    """``0.4 points worse (between 0.1 and 0.8)``; better where it is, and on which side each end of
    the interval lies where they are two."""
    said = f"{_points(effect.mean)} points {_side(effect.mean)}"
    if _points(effect.mean) == "0.0":
        said = "as accurate"
    if not np.isfinite([effect.low, effect.high]).all():
        return said
    near, far = sorted((effect.low, effect.high), key=abs)
    sides = (_side(near), _side(far))
    if said != "as accurate" and sides == (_side(effect.mean),) * 2:
        return f"{said} (between {_points(near)} and {_points(far)})"
    ends = [f"{_points(end)} points {side}" for end, side in zip((near, far), sides, strict=True)]
    return f"{said} (between {' and '.join(ends)})"


def _points(value: float) -> str:
    return number(abs(value), 1, signed=False)


def _side(value: float) -> str:
    return "better" if value > 0 else "worse"


def judge_target(results: Results) -> TargetResult | None:
    """What a study's candidates come to; None of a study without a target."""
    if results.candidates is None:
        return None
    asked, table = results.study.config["target"], results.candidates
    reference = table[table["role"] == REFERENCE]
    judged = [
        _judged(rows, reference, asked)
        for _, rows in table[table["role"] == CANDIDATE].groupby(["arm", "form"], sort=False)
    ]
    judged.sort(key=lambda each: (len(each.missed), -each.validation))
    return TargetResult(judged, reference, asked)


def _judged(rows: pd.DataFrame, reference: pd.DataFrame, asked: Mapping[str, Any]) -> Judged:
    taken = {name: float(rows[name].median()) for name in QUANTITIES}
    beside = {name: float(reference[name].median()) for name in QUANTITIES}
    goals = {name: asked[name] for name in QUANTITIES if asked.get(name) is not None}
    missed = [name for name, goal in goals.items() if taken[name] > bound(goal, beside[name])]
    theirs = reference.set_index("seed")["test_accuracy"]
    if len(theirs) == 1:  # one teacher serves all seeds
        theirs = pd.Series(theirs.iloc[0], index=rows["seed"])
    own = rows.set_index("seed")["test_accuracy"]
    loss = float(asked["loss"])
    return Judged(
        rows,
        taken,
        {name: beside[name] / taken[name] for name in QUANTITIES},
        tuple(missed),
        paired((own - theirs).dropna(), margin=loss),
        loss,
    )
