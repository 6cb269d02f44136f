"""Paper A's first half: students with features and a new classifier."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from stagewise import catalogue
from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun, at_rate, run_path
from stagewise.study.regimes import REGIMES
from stagewise.study.spec import Entry, Images
from stagewise.study.steps.arms import (
    ONE_STAGE,
    imagenet_start,
    network_entry,
    recipe_entry,
    title,
    trained,
    training,
    two_stages,
)
from stagewise.study.steps.teachers import taught_by, teacher_path


def two_stage(config: Config) -> Iterator[PlannedRun]:
    """In every regime: standard training, each method in one stage and in two, and the arms that
    have recipes of their own; then all of them at the common rates."""
    block = config.two_stage
    for pair in block.pairs:
        yield from _pretraining(config, pair)
        arms = _arms(config, pair)
        for rate in (None, *block.common_rates):
            for arm in arms:
                yield from _students(config, pair, arm, rate)


@dataclass(frozen=True)
class _Arm:
    """``label``: of the method."""

    name: str
    label: str
    recipe: Entry
    display: str


def _arms(config: Config, pair: str) -> list[_Arm]:
    """A pair's arms at their own rates."""
    block = config.two_stage
    init, _ = student_start(config, pair)
    unseen = int(init == "scratch")  # new weights come with batch norm that has seen no image
    arms = [_Arm(f"students/{pair}.pretrained", "ce", ONE_STAGE, "standard")]
    share, lr = block.stage1_share, block.stage1_lr
    for label in block.methods:
        one, two = f"two_stage/{pair}.one-stage.{label}", f"two_stage/{pair}.{label}"
        stages = two_stages(config, two, share, lr, estimate_first=unseen)
        method = title(config, label)
        arms.append(_Arm(one, label, ONE_STAGE, f"one-stage {method}"))
        arms.append(_Arm(two, label, stages, f"two-stage {method}"))
    for label in block.arms:
        if config.serves(label, pair):
            name, recipe = f"two_stage/{pair}.{label}", recipe_entry(config, label)
            if recipe["recipe"] == "two_stage":
                stages = two_stages(config, name, share, lr, estimate_first=unseen)
                recipe = {**stages, **recipe}
            arms.append(_Arm(name, label, recipe, title(config, label)))
    return arms


def _students(config: Config, pair: str, arm: _Arm, rate: float | None) -> Iterator[PlannedRun]:
    """An arm's runs; at its own rate where ``rate`` is None. A common rate is the features', whose
    shock is compared at it; nobody chose it for the arm, so that one diverges is a result."""
    block = config.two_stage
    task = REGIMES[block.regime].task
    init, start = student_start(config, pair)
    settings = training(config, arm.name, block.training, config.method(arm.label).training)
    labels = {"pair": pair, "task": task, "network": "student", "display": arm.display}
    common: dict[str, Any] = {}
    name, probed = arm.name, block.probe_own_rates or rate is not None
    if rate is not None:
        name, settings = at_rate(name, rate), replace(settings, lr=_for_features(rate, arm.recipe))
        common = {"common_rate": rate, "display": f"{arm.display}, rate {rate:g}"}
    yield from trained(
        config,
        name,
        config.seeds,
        data=Images(task=task, images="few"),
        init=init,
        network=network_entry(config.pairs[pair].student),
        method=arm.label,
        recipe=arm.recipe,
        training=settings,
        observers=("shock",) if block.probe and probed else (),
        classifier=config.method(arm.label).classifier,
        divergence="fails" if rate is None else "ends",
        parents={**start, "teacher": taught_by(config, pair, task, arm.label)},
        reference=teacher_path(config, pair, task),
        labels=labels | common,
    )


def _for_features(rate: float, recipe: Entry) -> float:
    """The learning rate of a recipe by which features move at ``rate``: its option ``backbone``,
    where it has one, is their share."""
    options = catalogue.recipe_options(recipe["recipe"]) | recipe
    return float(f"{rate / options.get('backbone', 1.0):.12g}")


def _pretraining(config: Config, pair: str) -> Iterator[PlannedRun]:
    """The student's network on the source classes, where the regime has some."""
    block = config.two_stage.pretraining
    arm = f"pretraining/{pair}"
    if REGIMES[config.two_stage.regime].pretrains:
        yield from trained(
            config,
            arm,
            config.pretraining_seeds,
            data=Images(task="source", images="full"),
            init="scratch",
            network=network_entry(config.pairs[pair].student),
            method="ce",
            recipe=ONE_STAGE,
            training=training(config, arm, block.training),
            labels={
                "pair": pair,
                "task": "source",
                "network": "student",
                "display": "pretrained on the source classes",
            },
        )


def student_start(config: Config, pair: str) -> tuple[str, dict[str, str]]:
    """``init`` of the specs of a pair's students, and the parent that it names."""
    if REGIMES[config.two_stage.regime].pretrains:
        seed = "{seed}" if config.replicates == "chains" else config.pretraining_seeds[0]
        return "features", {"init": run_path(config.study, f"pretraining/{pair}", seed)}
    return imagenet_start(config, pair, config.pairs[pair].student)
