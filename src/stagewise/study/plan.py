"""From a configuration to the list of runs, each with its spec and its parents."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product

from stagewise import catalogue
from stagewise.catalogue import nearest
from stagewise.errors import UserError
from stagewise.study.config import Config
from stagewise.study.config.results import Tune, Wider
from stagewise.study.planned import Plan, PlannedRun, at_rate
from stagewise.study.spec import REWOUND, STILL, TrainSpec
from stagewise.study.steps.arms import has_strength, strengthened, with_stage1
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


def make_plan(config: Config, name: str = "config") -> Plan:
    """All runs of a study.

    Raises:
        UserError: ``learning_rates``, ``stage1_rates``, ``strengths`` or ``tune.wider`` names an
            arm that the study does not have.
    """
    planned = [run for step in STEPS for run in step(config)]
    trained = {run.arm: run.spec for run in planned if isinstance(run.spec, TrainSpec)}
    staged = [arm for arm, spec in trained.items() if _in_two_stages(spec)]
    fitting = {given for given in config.learning_rates if fnmatch.filter(trained, given)}
    _known(f"{name}: learning_rates", config.learning_rates, {*trained, *fitting})
    _known(f"{name}: stage1_rates", config.stage1_rates, staged)
    weighed = [arm for arm, spec in trained.items() if has_strength(spec)]
    _known(f"{name}: strengths", config.strengths, weighed)
    if config.tune:
        _known(f"{name}: tune.wider", config.tune.wider, trained)
        planned = _tuning_runs(planned, config.tune, config.strengths)
    return Plan(config, {run.path: run for run in planned})


def _known(key: str, given: Iterable[str], arms: Collection[str]) -> None:
    """Raises ``UserError`` where ``given`` names what is none of ``arms``."""
    unknown = [arm for arm in given if arm not in arms]
    if unknown:
        lines = [f"'{arm}' is no arm of this study; {nearest(arm, arms)}" for arm in unknown[:MANY]]
        more = [f"and {len(unknown) - MANY} more"] if len(unknown) > MANY else []
        raise UserError("\n".join(f"{key}: {line}" for line in (*lines, *more)))


def _tuning_runs(
    runs: list[PlannedRun], tune: Tune, strengths: Mapping[str, float]
) -> list[PlannedRun]:
    """Each arm with several rates or strengths once for each, and the runs that these descend
    from."""
    variants = [
        variant
        for run in runs
        if isinstance(run.spec, TrainSpec) and _has_rate(run, run.spec)
        for variant in _several(_variants(run, run.spec, tune, strengths.get(run.arm, 1.0)))
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


def _several(variants: Iterator[PlannedRun]) -> list[PlannedRun]:
    """Variants of a run; none where one alone leaves nothing to choose."""
    found = list(variants)
    return found if len(found) > 1 else []


def _variants(
    run: PlannedRun, spec: TrainSpec, tune: Tune, strength: float
) -> Iterator[PlannedRun]:
    """A run at every rate; in two stages, with every rate of stage 1; with every factor of its loss
    weights, which hold the factor ``strength`` before."""
    wider = tune.wider.get(run.arm, Wider())
    first = (*tune.stage1_rates, *wider.stage1_rates) if _in_two_stages(spec) else ()
    factors = (*tune.strengths, *wider.strengths) if has_strength(spec) else ()
    method = spec.method["method"]
    grid = product(
        dict.fromkeys((*tune.rates, *wider.rates)),
        dict.fromkeys(first) or [None],
        dict.fromkeys(factors) or [None],
    )
    for rate, stage1, factor in grid:
        arm, recipe, weights = at_rate(run.arm, rate), spec.recipe, spec.weights
        labels = {"rate": rate}
        if stage1 is not None:
            arm, recipe = f"{arm}.stage1-{stage1:g}", with_stage1(recipe, stage1)
            labels["stage1_rate"] = stage1
        if factor is not None:
            arm = f"{arm}.strength-{factor:g}"
            weights = strengthened(method, weights, factor / strength)
            labels["strength"] = factor
        settings = replace(spec.training, lr=rate)
        own = replace(spec, training=settings, recipe=recipe, weights=weights, divergence="ends")
        yield replace(run, arm=arm, spec=own, labels={**run.labels, "tuned_arm": run.arm, **labels})


def _in_two_stages(spec: TrainSpec) -> bool:
    """Whether a run has a stage 1, with a rate of its own."""
    return "stage1_lr" in catalogue.recipe_options(spec.recipe["recipe"])


def _has_rate(run: PlannedRun, spec: TrainSpec) -> bool:
    """Whether the learning rate of a run has any effect, and is its own."""
    own = "common_rate" not in run.labels and not run.partner
    return spec.recipe["recipe"] not in (*STILL, REWOUND) and own
