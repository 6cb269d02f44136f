"""Checks across keys: names that must exist, settings that must fit each other and the data.

A check takes a configuration and yields its problems, each with key, value and mend. ``CHECKS``
lists them with the blocks that they read: where a block is absent or broken, only the checks of
other blocks run.
"""

from collections.abc import Callable

from stagewise import catalogue
from stagewise.study.config.checks.comparison import comparison_problems
from stagewise.study.config.checks.data import (
    class_problems,
    crop_problems,
    data_problems,
    probe_problems,
)
from stagewise.study.config.checks.exits import head_problems, placing_problems
from stagewise.study.config.checks.methods import method_problems
from stagewise.study.config.checks.networks import (
    network_problems,
    regime_problems,
    teacher_problems,
)
from stagewise.study.config.checks.places import (
    arm_problems,
    assistant_problems,
    channel_problems,
    exit_problems,
    place_problems,
    stage_problems,
)
from stagewise.study.config.checks.pruning import pruning_problems
from stagewise.study.config.checks.target import target_problems
from stagewise.study.config.checks.training import training_problems
from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.study import Config


def problems(config: Config) -> Problems:
    """All that the checks find, but for those that read a block which is None."""
    for check, blocks in CHECKS.items():
        if not any(getattr(config, block) is None for block in blocks):
            yield from check(config)


def claim_problems(config: Config) -> Problems:
    """Claims that exist."""
    known, split = catalogue.claims(), catalogue.split_claims()
    for index, claim in enumerate(config.claims_tested):
        key = f"claims_tested.{index}"
        if claim in split:
            yield f"{key}: '{claim}' is now several claims; list {', '.join(split[claim])}"
        elif claim not in known:
            yield unknown(key, claim, known)


def own_claim_problems(config: Config) -> Problems:
    """Names that are free; a control, or a threshold, where the rule needs one."""
    taken = {*catalogue.claims(), *catalogue.split_claims()}
    for index, claim in enumerate(config.claims):
        if claim.id in taken:
            yield f"claims.{index}.id: '{claim.id}' names another claim; choose another name"
        taken.add(claim.id)
        names = set()
        for number, contrast in enumerate(claim.contrasts):
            key = f"claims.{index}.contrasts.{number}"
            if contrast.name in names:
                yield f"{key}.name: '{contrast.name}' stands twice; choose another name"
            names.add(contrast.name)
            if contrast.rule == "above":
                if contrast.threshold is None:
                    yield f"{key}.threshold: the rule above needs one; say what it must exceed"
            elif contrast.control is None:
                yield f"{key}.control: the rule {contrast.rule} needs one; name an arm"
        if not any(contrast.role == "headline" for contrast in claim.contrasts):
            yield f"claims.{index}.contrasts: none is a headline, so nothing decides; make one so"


def tuning_problems(config: Config) -> Problems:
    """Something to choose from, under names of its own; images to judge it on."""
    if not config.data.validation:
        yield (
            "data.validation: 0, but tune chooses rates on held-out images; hold some out, or"
            " remove tune"
        )
    tune = config.tune
    assert tune is not None
    if len(tune.rates) == 1 and len(tune.strengths) < 2 and not tune.wider:
        yield (
            f"tune.rates: [{tune.rates[0]:g}] leaves nothing to choose; give more rates,"
            " tune.strengths, or an arm's own in tune.wider"
        )
    for key, values in (("rates", tune.rates), ("strengths", tune.strengths)):
        names = [f"{value:g}" for value in values]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield f"tune.{key}.{index}: {name} is repeated up to rounding; keep one"


OVERRIDING = ("teachers", "students", "two_stage", "multi_exit", "recovery", "methods", "pairs")
"""Blocks that may change training."""

TAUGHT = ("methods", "pairs", "distillation", "two_stage", "multi_exit", "pruning")
"""Blocks that say who is taught how by whom."""

CHECKS: dict[Callable[[Config], Problems], tuple[str, ...]] = {
    data_problems: ("data",),
    probe_problems: ("data", "two_stage"),
    class_problems: ("data", "two_stage"),
    crop_problems: ("data", "training", *OVERRIDING),
    training_problems: ("training", "distillation", "pruning", *OVERRIDING),
    network_problems: ("pairs", "data"),
    regime_problems: ("two_stage", "pairs", "data"),
    teacher_problems: ("data", *TAUGHT),
    method_problems: ("methods", "pairs"),
    place_problems: TAUGHT,
    exit_problems: TAUGHT,
    arm_problems: TAUGHT,
    head_problems: ("methods", "multi_exit"),
    placing_problems: TAUGHT,
    channel_problems: TAUGHT,
    assistant_problems: TAUGHT,
    stage_problems: ("training", "methods", "two_stage", "pruning", "recovery"),
    pruning_problems: ("pruning", "pairs", "two_stage", "recovery"),
    claim_problems: ("claims_tested",),
    own_claim_problems: ("claims",),
    comparison_problems: ("comparison", "pairs", "distillation", "multi_exit"),
    tuning_problems: ("tune", "data"),
    target_problems: ("target", "data", "pairs", "seeds"),
}
"""Check → the blocks that it reads."""
