"""Pruned students after recovery."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import REESTIMATION, Entry, Images
from stagewise.study.steps.arms import (
    ONE_STAGE,
    network_entry,
    same_seed,
    trained,
    training,
    two_stages,
)
from stagewise.study.steps.pruning import Chain
from stagewise.study.steps.teachers import taught_by, teacher_path


@dataclass(frozen=True)
class _Way:
    """A way to recover: a method (a label), a recipe, and what tables call it; ``anew`` from new
    weights in the pruned shape."""

    method: str
    recipe: Entry
    display: str
    anew: bool = False


def _ways(config: Config, arm: str) -> dict[str, _Way]:
    """The ways of the config's ``recover``; ``arm`` is what the names of its arms begin with."""
    block = config.recovery
    stages = two_stages(config, f"{arm}.two_stage_kd", block.stage1_share, block.stage1_lr)
    return {
        "bn": _Way("ce", {"recipe": REESTIMATION}, "BN re-estimated"),
        "ce": _Way("ce", ONE_STAGE, "recovered with CE"),
        "kd": _Way("kd", ONE_STAGE, "recovered with KD"),
        "two_stage_kd": _Way("kd", stages, "recovered with two-stage KD"),
        "scratch_kd": _Way("kd", ONE_STAGE, "same shape from scratch with KD", anew=True),
    }


def recovered(
    config: Config, chain: Chain, criterion: str, ratio: float, source: str, ways: Iterable[str]
) -> Iterator[PlannedRun]:
    """Recovery arms of the networks of an arm ``source``, pruned by ``criterion`` or ``dense``, all
    at the same budget."""
    dense = criterion == "dense"
    shape = criterion if dense else f"{criterion}-{ratio:g}x"
    stem = f"recovery/{chain.pair}.{chain.name}.{shape}"
    for name in ways:
        way, arm = _ways(config, stem)[name], f"{stem}.{name}"
        overrides = [config.recovery.training, config.method(way.method).training]
        if way.anew:
            overrides.append(_whole_budget(config, chain))
        yield from trained(
            config,
            arm,
            config.seeds,
            data=Images(task=chain.task, images="few"),
            init="shape" if way.anew else "parent",
            network=network_entry(config.pairs[chain.pair].student),
            method=way.method,
            recipe=way.recipe,
            training=training(config, arm, *overrides),
            parents={
                "init": same_seed(config, source),
                "teacher": taught_by(config, chain.pair, chain.task, way.method),
            },
            reference=teacher_path(config, chain.pair, chain.task),
            labels={
                "pair": chain.pair,
                "task": chain.task,
                "network": "student",
                "chain": chain.name,
                "criterion": criterion,
                "ratio": ratio,
                "recovery": name,
                "display": "dense student, same extra epochs with KD" if dense else way.display,
            },
        )


def sparse(config: Config, chain: Chain, recipe: str) -> Iterator[PlannedRun]:
    """A chain's dense student trained on by a ``recipe`` that makes its channels sparse, with the
    epochs of a recovery and no weight decay."""
    arm = f"recovery/{chain.pair}.{chain.name}.dense.{recipe}"
    overrides = [config.recovery.training, config.method("ce").training, {"weight_decay": 0.0}]
    yield from trained(
        config,
        arm,
        config.seeds,
        data=Images(task=chain.task, images="few"),
        init="parent",
        network=network_entry(config.pairs[chain.pair].student),
        method="ce",
        recipe={"recipe": recipe},
        training=training(config, arm, *overrides),
        parents={"init": same_seed(config, chain.dense)},
        reference=teacher_path(config, chain.pair, chain.task),
        labels={
            "pair": chain.pair,
            "task": chain.task,
            "network": "student",
            "chain": chain.name,
            "criterion": "dense",
            "ratio": 1.0,
            "recovery": recipe,
            "display": "dense student, made sparse",
        },
    )


def _whole_budget(config: Config, chain: Chain) -> dict[str, Any]:
    """New weights get the epochs of the dense student as well as those of the recovery."""
    block = config.students if chain.name == "baseline" else config.two_stage
    own = config.method("kd").training
    dense = config.trained(block.training, own)
    extra = config.trained(config.recovery.training, own)
    return {"epochs": dense.epochs + extra.epochs, "evaluate_every": dense.evaluate_every}
