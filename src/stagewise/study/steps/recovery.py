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


def _ways(config: Config, chain: Chain, arm: str) -> dict[str, _Way]:
    """The ways of the config's ``recover``; ``arm`` is what the names of its arms begin with."""
    share, lr = config.recovery.stage1_share, config.recovery.stage1_lr
    by_labels, by_kd = (
        two_stages(config, f"{arm}.two_stage_{label}", share, lr) for label in ("ce", "kd")
    )
    rewound = {"recipe": REWOUND, "of": _dense(config, chain, "ce").epochs}
    return {
        "bn": _Way("ce", {"recipe": REESTIMATION}, "BN re-estimated"),
        "ce": _Way("ce", ONE_STAGE, "recovered with CE"),
        "kd": _Way("kd", ONE_STAGE, "recovered with KD"),
        "two_stage_ce": _Way("ce", by_labels, "recovered with two-stage CE"),
        "two_stage_kd": _Way("kd", by_kd, "recovered with two-stage KD"),
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
    found = _ways(config, chain, stem)
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
            yield from _chained(
                config,
                chain,
                f"{arm}.{family}" if family else arm,
                init=way.start,
                method=way.method,
                recipe=way.recipe,
                training=_training(config, chain, way, ratio, arm, given),
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


def _training(
    config: Config, chain: Chain, way: _Way, ratio: float, arm: str, family: dict[str, Any]
) -> Training:
    """Training of an arm: in a family by what that says, else at the arm's own rate; rewound at the
    dense student's."""
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
        overrides.append({"epochs": epochs[way.epochs], "evaluate_every": dense.evaluate_every})
    if way.recipe["recipe"] == REWOUND and arm not in config.learning_rates:
        rate = given_rate(config.learning_rates, chain.dense) or _dense(config, chain, "ce").lr
        return config.trained(*overrides, {"lr": rate})
    return config.trained(*overrides, family) if family else training(config, arm, *overrides)


def _dense(config: Config, chain: Chain, label: str) -> Training:
    """How the chain's dense student was trained, by the method of a label."""
    block = config.students if chain.name == "baseline" else config.two_stage
    return config.trained(block.training, config.method(label).training)
