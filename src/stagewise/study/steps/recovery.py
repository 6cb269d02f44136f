"""Pruned students after recovery."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from stagewise.study.config import Config
from stagewise.study.config.compression import Pruning
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import REESTIMATION, REWOUND, Entry, Images, Training
from stagewise.study.steps.arms import (
    ONE_STAGE,
    given_rate,
    network_entry,
    same_seed,
    trained,
    training,
    two_stages,
)
from stagewise.study.steps.pruning import Chain, dense_start
from stagewise.study.steps.teachers import taught_by, teacher_path

TWO_STAGES: Entry = {"recipe": "two_stage"}
ESTIMATED_FIRST: Entry = {**TWO_STAGES, "estimate_first": 1}


@dataclass(frozen=True)
class _Way:
    """A way to recover: a method (a label), a recipe, and what tables call it.

    ``start``: the weights that are there (``parent``), new ones in their ``shape``, or those that
    the ``dense`` student began with. ``epochs``: of the ``extra`` training alone, of the dense
    student's own, of both (``whole``), or of as many multiply-adds as both (``macs``).
    ``by_dense``: the dense student teaches.
    """

    method: str
    recipe: Entry
    display: str
    start: Literal["parent", "shape", "dense"] = "parent"
    epochs: Literal["extra", "dense", "whole", "macs"] = "extra"
    by_dense: bool = False


def _ways(config: Config, chain: Chain) -> dict[str, _Way]:
    """The ways of the config's ``recover``."""
    rewound = {"recipe": REWOUND, "of": _dense(config, chain, "ce").epochs}
    return {
        "bn": _Way("ce", {"recipe": REESTIMATION}, "BN re-estimated"),
        "ce": _Way("ce", ONE_STAGE, "recovered with CE"),
        "kd": _Way("kd", ONE_STAGE, "recovered with KD"),
        "two_stage_ce": _Way("ce", TWO_STAGES, "recovered with two-stage CE"),
        "two_stage_kd": _Way("kd", TWO_STAGES, "recovered with two-stage KD"),
        "two_stage_kd_bn": _Way(
            "kd", ESTIMATED_FIRST, "recovered with two-stage KD, batch norm estimated first"
        ),
        "rewound_ce": _Way("ce", rewound, "recovered with CE, rate rewound"),
        "rewound_kd": _Way("kd", rewound, "recovered with KD, rate rewound"),
        "self_kd": _Way("kd", ONE_STAGE, "recovered with KD from the dense student", by_dense=True),
        "scratch_ce": _Way(
            "ce", ONE_STAGE, "same shape from scratch with CE", start="shape", epochs="dense"
        ),
        "scratch_ce_macs": _Way(
            "ce",
            ONE_STAGE,
            "same shape from scratch with CE, same MACs",
            start="shape",
            epochs="macs",
        ),
        "scratch_kd": _Way(
            "kd", ONE_STAGE, "same shape from scratch with KD", start="shape", epochs="whole"
        ),
    }


DENSE = {
    "ce": _Way("ce", ONE_STAGE, "dense student, same extra epochs with CE"),
    "kd": _Way("kd", ONE_STAGE, "dense student, same extra epochs with KD"),
    "kd_throughout": _Way(
        "kd", ONE_STAGE, "dense student, all epochs with KD", start="dense", epochs="whole"
    ),
}
"""The ways of the config's ``dense``: opponents of what is pruned."""


def recovered(
    config: Config, chain: Chain, block: Pruning, ratio: float, source: str
) -> Iterator[PlannedRun]:
    """Recovery arms of the networks of an arm ``source``, pruned as a block says."""
    stem = f"recovery/{chain.pair}.{chain.name}.{block.shape}-{ratio:g}x"
    found = _ways(config, chain)
    ways: dict[str, _Way] = {name: found[name] for name in block.recover}
    yield from _families(config, chain, block.shape, ratio, source, stem, ways, block.probe)


def beside(config: Config, chain: Chain) -> Iterator[PlannedRun]:
    """A chain's dense student given the extra epochs of a recovery."""
    stem = f"recovery/{chain.pair}.{chain.name}.dense"
    ways: dict[str, _Way] = {name: DENSE[name] for name in config.recovery.dense}
    yield from _families(config, chain, "dense", 1.0, chain.dense, stem, ways)


def _families(
    config: Config,
    chain: Chain,
    criterion: str,
    ratio: float,
    source: str,
    stem: str,
    ways: dict[str, _Way],
    probed: tuple[str, ...] = (),
) -> Iterator[PlannedRun]:
    """An arm for each of some ways, all at the same budget; then the same arms in each of the
    config's families. ``stem``: what their names begin with; ``probed``: those that log shock."""
    for family, given in {"": {}, **config.recovery.families}.items():
        for name, way in ways.items():
            arm = f"{stem}.{name}"
            if family and way.recipe["recipe"] in (REESTIMATION, REWOUND):
                continue
            teacher = taught_by(config, chain.pair, chain.task, way.method)
            settings = _training(config, chain, way, ratio, arm, given)
            label = f"{arm}.{family}" if family else arm
            yield from _chained(
                config,
                chain,
                label,
                init=way.start,
                method=way.method,
                recipe=_recipe(config, way, label, settings.lr, own=not family),
                training=settings,
                source=source,
                teacher=same_seed(config, chain.dense) if way.by_dense else teacher,
                observers=("shock",) if name in probed else (),
                labels={
                    "criterion": criterion,
                    "ratio": ratio,
                    "recovery": name,
                    "display": f"{way.display}, {family}" if family else way.display,
                    **({"family": family} if family else {}),
                },
            )


def sparse(config: Config, chain: Chain, recipe: str) -> Iterator[PlannedRun]:
    """A chain's dense student trained on by a ``recipe`` that makes its channels sparse, with the
    epochs of a recovery and no weight decay."""
    arm = f"recovery/{chain.pair}.{chain.name}.dense.{recipe}"
    overrides = [config.recovery.training, config.method("ce").training, {"weight_decay": 0.0}]
    shown = {"criterion": "dense", "ratio": 1.0, "recovery": recipe}
    yield from _chained(
        config,
        chain,
        arm,
        init="parent",
        method="ce",
        recipe={"recipe": recipe},
        training=training(config, arm, *overrides),
        source=chain.dense,
        labels={**shown, "display": "dense student, made sparse"},
    )


def _chained(
    config: Config,
    chain: Chain,
    arm: str,
    *,
    init: str,
    method: str,
    recipe: Entry,
    training: Training,
    source: str,
    teacher: str = "",
    observers: tuple[str, ...] = (),
    labels: dict[str, Any],
) -> Iterator[PlannedRun]:
    """The runs of an arm that goes on from the networks of the arm ``source``; with ``init``
    ``dense`` from what the chain's dense student began with."""
    teachers = {"teacher": teacher} if teacher else {}
    parents = {"init": same_seed(config, source)}
    if init == "dense":
        init, parents = dense_start(config, chain)
    yield from trained(
        config,
        arm,
        config.seeds,
        data=Images(task=chain.task, images="few"),
        init=init,
        network=network_entry(config.pairs[chain.pair].student),
        method=method,
        recipe=recipe,
        training=training,
        observers=observers,
        parents={**parents, **teachers},
        reference=teacher_path(config, chain.pair, chain.task),
        labels={
            "pair": chain.pair,
            "task": chain.task,
            "network": "student",
            "chain": chain.name,
            **labels,
        },
    )


def _recipe(config: Config, way: _Way, arm: str, lr: float, *, own: bool) -> Entry:
    """A way's recipe; stage 1 of two, where nothing says its rate, at ``lr``, that of the rest:
    after pruning no classifier is new. ``own``: not of a family, whose rates are its own."""
    if way.recipe["recipe"] != TWO_STAGES["recipe"]:
        return way.recipe
    block = config.recovery
    first = block.stage1_lr if own and block.stage1_lr is not None else lr
    unseen = way.recipe.get("estimate_first", 0)
    return two_stages(config, arm, block.stage1_share, first, estimate_first=unseen)


def _training(
    config: Config, chain: Chain, way: _Way, ratio: float, arm: str, family: dict[str, Any]
) -> Training:
    """Training of an arm: in a family by what that says, else at the arm's own rate; rewound, and
    where all of the training is done anew, as the dense student's was."""
    own = config.method(way.method).training
    overrides = [config.recovery.training, own]
    if way.epochs != "extra":
        dense = _dense(config, chain, way.method)
        extra = config.trained(*overrides).epochs
        epochs = {
            "dense": dense.epochs,
            "whole": dense.epochs + extra,
            "macs": round(ratio * dense.epochs) + extra,  # an epoch of the shape is so much cheaper
        }
        overrides = [_dense_block(config, chain), own, {"epochs": epochs[way.epochs]}]
    if family:
        return config.trained(*overrides, family)
    if way.epochs != "extra" or way.recipe["recipe"] == REWOUND:
        rate = given_rate(config.learning_rates, chain.dense) or _dense(config, chain, "ce").lr
        overrides.append({"lr": rate})
    if way.recipe["recipe"] == REWOUND and arm not in config.learning_rates:
        return config.trained(*overrides)
    return training(config, arm, *overrides)


def _dense(config: Config, chain: Chain, label: str) -> Training:
    """How the chain's dense student was trained, by the method of a label."""
    return config.trained(_dense_block(config, chain), config.method(label).training)


def _dense_block(config: Config, chain: Chain) -> dict[str, Any]:
    """Where the training of the chain's dense student differs from the study's."""
    block = config.students if chain.name == "baseline" else config.two_stage
    return block.training
