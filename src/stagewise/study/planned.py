"""What a plan is: runs with their specs and parents.

A run is a network, a list of phases, and maybe a teacher. Its spec holds exactly the settings that
its process uses, so a changed setting changes exactly the specs that depend on it; seeds and the
other sweep axes only add runs. Labels describe a run for tables and never reach its process.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stagewise.study.config import Config
from stagewise.study.config.pairs import Teacher
from stagewise.study.regimes import given_folder
from stagewise.study.spec import Spec

STEPS = (
    "pretraining",
    "teachers",
    "students",
    "distillation",
    "two_stage",
    "multi_exit",
    "pruning",
    "recovery",
)
"""Steps of a study: what the names of its arms begin with."""


@dataclass(frozen=True)
class PlannedRun:
    """One run: ``arm`` (step/name) and ``seed`` name it.

    ``parents`` maps a role (``teacher``, ``init``) to the parent's path, a run's or a folder of
    weights from elsewhere; ``reference`` is the path of the teacher that fidelity is measured
    against, whether or not the run learns from it; ``partner`` is that of a run with which it
    answers as an ensemble, where it does.
    """

    study: str
    arm: str
    seed: int
    spec: Spec = field(hash=False)
    parents: dict[str, str] = field(hash=False, default_factory=dict)
    reference: str = ""
    labels: dict[str, Any] = field(hash=False, default_factory=dict)
    partner: str = ""

    @cached_property
    def step(self) -> str:
        """The step of the study that the run is one of."""
        return self.arm.partition("/")[0]

    @property
    def name(self) -> str:
        """What tells the arm from others of its step."""
        return self.arm.partition("/")[2]

    @cached_property
    def path(self) -> str:
        """The run's folder, relative to the project."""
        return run_path(self.study, self.arm, self.seed)


def at_rate(arm: str, rate: float) -> str:
    """Name of an arm that is trained at a learning rate which is not its own."""
    return f"{arm}.lr-{rate:g}"


def run_path(study: str, arm: str, seed: int | str) -> str:
    """Folder of a run, relative to the project."""
    return f"runs/{study}/{arm}/seed-{seed}"


@dataclass(frozen=True)
class Plan:
    """A validated configuration and its runs by path, parents first."""

    config: Config
    runs: dict[str, PlannedRun]

    def step(self, *steps: str) -> list[PlannedRun]:
        """The runs of some steps, in plan order."""
        return [run for run in self.runs.values() if run.step in steps]

    def weights(self) -> dict[str, str]:
        """Folders of ImageNet weights that runs start from, each with its network."""
        others = {*self.runs, *self.given()}
        return {
            path: run.spec.network["network"]
            for run in self.runs.values()
            for path in run.parents.values()
            if path not in others
        }

    def given(self) -> dict[str, Teacher]:
        """Folders of teachers whose weights are the user's."""
        pairs = self.config.pairs.items()
        found = {given_folder(self.config.study, pair): each.teacher for pair, each in pairs}
        return {folder: teacher for folder, teacher in found.items() if teacher.weights}

    def rows(self) -> list[dict[str, Any]]:
        """The plan as plain rows for tables; records are compared with ``spec``."""
        return [
            {
                "path": run.path,
                "arm": run.arm,
                "step": run.step,
                "name": run.name,
                "seed": run.seed,
                "parents": run.parents,
                "reference": run.reference,
                "spec": run.spec.written(),
                **({"partner": run.partner} if run.partner else {}),
                **run.labels,
            }
            for run in self.runs.values()
        ]

    def written(self) -> dict[str, Any]:
        """The content of ``plan.json``."""
        header = {"study": self.config.study, "title": self.config.title}
        return {**header, "config": self.config.as_dict(), "runs": self.rows()}
