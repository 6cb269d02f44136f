"""From a configuration to the list of runs, each with its spec and its parents."""

from collections.abc import Iterable
from dataclasses import replace

from stagewise.catalogue import nearest
from stagewise.errors import UserError
from stagewise.study.config import Config
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import TrainSpec
from stagewise.study.steps.compression import compression
from stagewise.study.steps.distillation import distillation
from stagewise.study.steps.multi_exit import multi_exit
from stagewise.study.steps.students import students
from stagewise.study.steps.teachers import teachers
from stagewise.study.steps.two_stage import two_stage

MANY = 100
"""Unknown arms that a message lists."""

STEPS = (teachers, students, distillation, two_stage, multi_exit, compression)
"""What yields the runs of a study, parents first."""

TUNED = ("students", "distillation", "two_stage", "multi_exit", "recovery")
"""Steps whose arms a tuning study gives every rate."""


def make_plan(config: Config, name: str = "config") -> Plan:
    """All runs of a study.

    Raises:
        UserError: ``learning_rates`` names an arm that the study does not have.
    """
    planned = [run for step in STEPS for run in step(config)]
    arms = {run.arm for run in planned if isinstance(run.spec, TrainSpec)}
    unknown = [arm for arm in config.learning_rates if arm not in arms]
    if unknown:
        lines = [f"'{arm}' is no arm of this study; {nearest(arm, arms)}" for arm in unknown[:MANY]]
        more = [f"and {len(unknown) - MANY} more"] if len(unknown) > MANY else []
        raise UserError("\n".join(f"{name}: learning_rates: {line}" for line in (*lines, *more)))
    if config.tune:
        planned = _tuning_runs(planned, config.tune.rates)
    return Plan(config, {run.path: run for run in planned})


def _tuning_runs(runs: list[PlannedRun], rates: Iterable[float]) -> list[PlannedRun]:
    """Each tunable arm once per rate, with the runs that these descend from."""
    variants = [
        replace(
            run,
            arm=f"{run.arm}.lr-{rate:g}",
            spec=replace(run.spec, training=replace(run.spec.training, lr=rate)),
            labels={**run.labels, "tuned_arm": run.arm, "rate": rate},
        )
        for run in runs
        if run.step in TUNED and isinstance(run.spec, TrainSpec) and _has_rate(run.spec)
        for rate in rates
    ]
    by_path, needed = {run.path: run for run in runs}, set[str]()
    todo = [path for run in variants for path in (*run.parents.values(), run.reference)]
    while todo:
        path = todo.pop()
        if path in by_path and path not in needed:
            needed.add(path)
            run = by_path[path]
            todo += [*run.parents.values(), run.reference or path]
    return [run for run in runs if run.path in needed] + variants


def _has_rate(spec: TrainSpec) -> bool:
    """Whether the learning rate of a run has any effect."""
    return bool(spec.recipe["recipe"] != "reestimate_batch_norm")
