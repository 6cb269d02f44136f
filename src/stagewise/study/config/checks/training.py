"""Keys of training that must fit each other, wherever blocks are laid over one another."""

from collections.abc import Iterator
from typing import Any

from stagewise import catalogue
from stagewise.study.config.options import Problems
from stagewise.study.config.study import Config
from stagewise.study.spec import Training

BUDGETS = {
    "distillation": "students",
    "multi_exit": "students",
    "two_stage": "two_stage",
}
"""Step → the block whose training its arms have."""


def training_problems(config: Config) -> Problems:
    """Milestones that no schedule reads, or that do not rise; momentum that is none."""
    found: dict[str, None] = {}
    for key, settings in _trainings(config):
        found |= dict.fromkeys(_problems(key, settings))
    yield from found


def _trainings(config: Config) -> Iterator[tuple[str, Training]]:
    """Key of a block that says how something is trained, and all that it then comes to."""
    yield "training", config.training
    for key, given in config.overrides():
        for under in _under(config, key):
            yield key, config.trained(under, given)


def _under(config: Config, key: str) -> list[dict[str, Any]]:
    """The blocks that one block of training is laid over, in one step or another."""
    first, label, *_ = key.split(".")
    if first == "methods":
        steps = [
            BUDGETS[step] for step, block in config.taught_steps().items() if label in block.methods
        ]
        if label in ("ce", "kd") and config.prunings:
            steps.append("recovery")
        found = [getattr(config, step).training for step in steps]
        if label in catalogue.methods() and catalogue.teacher_part(label):
            exits = catalogue.teacher_part(label) == "exits"
            given = config.multi_exit.teacher_exits if exits else {}
            found.append(config.teachers.training | given)
        return found or [{}]
    above = first == "pairs" or key == "multi_exit.teacher_exits"
    return [config.teachers.training] if above else [{}]


def _problems(key: str, settings: Training) -> Problems:
    given = [f"{milestone:g}" for milestone in settings.milestones]
    said = f"{key}.milestones: [{', '.join(given)}]"
    if given and settings.schedule != "steps":
        yield (
            f"{said}, but schedule is '{settings.schedule}', which has none; say schedule: steps,"
            " or milestones: []"
        )
    epochs = [m if m >= 1 else m * settings.epochs for m in settings.milestones]
    if sorted({*epochs}) != epochs or (epochs and epochs[-1] >= settings.epochs):
        yield f"{said} must rise, and end before the {settings.epochs} epochs do; correct them"
    if settings.nesterov and not settings.momentum:
        yield f"{key}.nesterov: true, but momentum is 0; raise it, or remove nesterov"
