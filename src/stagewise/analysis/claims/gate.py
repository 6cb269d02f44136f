"""The gates: where can this study judge claims at all?

A claim about teaching says nothing where there is nothing to teach, one about exits nothing where
the network with exits is no sound network. Each check binds the arms of its pair that rest on it,
looks at validation alone, and judges its pair by itself. In a pair whose teacher has the student's
network, which is to be pruned, nobody has to lead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.contrasts import by_seed
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.records.labels import OTHER_CHAINS
from stagewise.analysis.records.study import Study
from stagewise.papers.claims import Side

NOT_READY = "the networks do not let it:"
"""How the reason begins where a gate failed."""
EXIT_POINTS = 1.0
"""Of studies that are older than ``gate.exit_points``."""


@dataclass(frozen=True)
class Check:
    """In ``pair`` one network must lead another (``what``) by ``needed`` points of mean validation
    accuracy; ``lead`` is NaN where the study lacks a value. ``arms``: those that rest on it."""

    pair: str
    what: str
    lead: float
    needed: float
    arms: frozenset[str]

    @property
    def passed(self) -> bool:
        """Whether the lead is there."""
        return self.lead >= self.needed

    @property
    def sentence(self) -> str:
        """The check in words, with its numbers."""
        if self.lead != self.lead:
            return f"{self.pair}: {self.what}: not known, as one of the two has no results"
        lead, needed = number(self.lead, 1), f"{self.needed:g}".replace("-", "−")
        return f"{self.pair}: {self.what}: {lead} points on validation, at least {needed} needed"


@dataclass(frozen=True)
class Gate:
    """Every check of a study, in the order of its pairs.

    ``judged``: whether images were held out for it; a gate that is not judged stops nothing.
    """

    checks: tuple[Check, ...] = ()
    judged: bool = True

    @property
    def failed(self) -> list[Check]:
        """The checks that are not passed."""
        return [check for check in self.checks if not check.passed]

    def reason(self, arms: Iterable[str]) -> str:
        """Why nothing can be said of some arms; empty where something can."""
        wanted = {*arms}
        reasons = [check.sentence for check in self.failed if check.arms & wanted]
        return f"{NOT_READY} {'; '.join(reasons)}" if reasons else ""

    @property
    def sentences(self) -> list[str]:
        """Each check with its numbers and whether it is passed."""
        return [f"{c.sentence}: {'passed' if c.passed else 'failed'}" for c in self.checks]


def study_gate(study: Study, summary: pd.DataFrame) -> Gate:
    """The checks of every pair of the config; not judged where no images were held out."""
    if not study.holds_out:
        return Gate(judged=False)
    return Gate(tuple(_checks(study, summary)))


def _checks(study: Study, summary: pd.DataFrame) -> Iterator[Check]:
    points = float(study.config["gate"]["points"])
    exit_points = float(study.config["gate"].get("exit_points", EXIT_POINTS))
    steps = study.runs.drop_duplicates("arm").set_index("arm")

    def lead(better: str, than: str) -> float:
        first, second = (
            by_seed(summary[summary["arm"] == arm], Side(arm), "validation_accuracy")["value"]
            for arm in (better, than)
        )
        return float(first.mean() - second.mean()) if len(first) and len(second) else float("nan")

    for pair, roles in study.config["pairs"].items():
        if roles and roles["teacher"] == roles["student"]:
            continue
        own = steps[steps["pair"] == pair]
        alone, standard = f"students/{pair}.baseline", f"students/{pair}.pretrained"
        teacher, exits = f"teachers/{pair}", f"multi_exit/{pair}.ce"
        target = f"{teacher}.target" if f"{teacher}.target" in own.index else teacher
        second = (own["step"] == "two_stage") | own["chain"].isin([*OTHER_CHAINS])
        second |= own.index.isin([standard, f"{teacher}.target"])
        yield Check(
            pair,
            "teacher against the student alone",
            lead(teacher, alone),
            points,
            frozenset(own.index[~second]),
        )
        if standard in own.index:
            yield Check(
                pair,
                "teacher against standard training, on the two-stage task",
                lead(target, standard),
                points,
                frozenset(own.index[second]),
            )
        if exits in own.index:
            yield Check(
                pair,
                "student with exits, without a teacher, against the plain one",
                lead(exits, alone),
                -exit_points,
                frozenset(own.index[own["step"] == "multi_exit"]),
            )
