"""Checks across keys: names that must exist, settings that must fit each other and the data.

A check takes a configuration with all defaults and yields its problems, each with key, value and
mend. ``CHECKS`` lists them with the blocks that they read: where a block breaks the schema, only
the checks of other blocks run.
"""

from collections.abc import Callable, Collection

from stagewise import catalogue
from stagewise.study.checks.common import (
    STEPS_WITH_METHODS,
    TRAININGS,
    Config,
    Problems,
    unknown,
)
from stagewise.study.checks.data import class_problems, crop_problems, data_problems, probe_problems
from stagewise.study.checks.methods import method_problems, place_problems, stage_problems
from stagewise.study.checks.networks import network_problems, regime_problems
from stagewise.study.checks.pruning import pruning_problems


def problems(config: Config, broken: Collection[str] = ()) -> Problems:
    """All that the checks find, but for those that read a ``broken`` or absent block."""
    for check, blocks in CHECKS.items():
        if not any(block in broken or block not in config for block in blocks):
            yield from check(config)


def claim_problems(config: Config) -> Problems:
    """Claims that exist."""
    known = catalogue.claims()
    for index, claim in enumerate(config["claims_tested"]):
        if claim not in known:
            yield unknown(f"claims_tested.{index}", claim, known)


def tuning_problems(config: Config) -> Problems:
    """Rates that have names of their own; images to judge them on."""
    if not config["data"]["validation"]:
        yield (
            "data.validation: 0, but tune chooses rates on held-out images; hold some out, or"
            " remove tune"
        )
    names = [f"{rate:g}" for rate in config["tune"]["rates"]]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"tune.rates.{index}: {name} is repeated up to rounding; keep one"


CHECKS: dict[Callable[[Config], Problems], tuple[str, ...]] = {
    data_problems: ("data",),
    probe_problems: ("data", "two_stage"),
    class_problems: ("data", "two_stage"),
    crop_problems: ("data", "methods", *dict.fromkeys(path[0] for path in TRAININGS)),
    network_problems: ("pairs", "data"),
    regime_problems: ("two_stage", "pairs", "data"),
    method_problems: ("methods",),
    place_problems: ("methods", "pairs", *STEPS_WITH_METHODS),
    stage_problems: ("training", "two_stage", "pruning", "recovery"),
    pruning_problems: ("pruning", "pairs", "two_stage", "recovery"),
    claim_problems: ("claims_tested",),
    tuning_problems: ("tune", "data"),
}
"""Check → the blocks that it reads."""
