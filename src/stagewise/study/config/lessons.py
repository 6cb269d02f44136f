"""Who is taught what: every method that a configuration's steps give a pair."""

from collections.abc import Iterator
from dataclasses import dataclass

from stagewise import catalogue
from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.config.study import Config
from stagewise.study.regimes import REGIMES


@dataclass(frozen=True)
class Lesson:
    """``key``: where the configuration names it. ``label``: the method's. ``task``: the classes
    that are taught, ``all`` or ``target``."""

    key: str
    pair: str
    label: str
    task: str


def methods_named(config: Config) -> Iterator[tuple[str, str]]:
    """Key and label of every method that a step names."""
    for step, block in config.taught_steps().items():
        for index, label in enumerate(block.methods):
            yield f"{step}.methods.{index}", label
    for index, label in enumerate(config.two_stage.arms):
        yield f"two_stage.arms.{index}", label


def chain_task(config: Config, chain: str) -> str:
    """The task of the students that a chain of pruning begins with."""
    return "all" if chain == "baseline" else REGIMES[config.two_stage.regime].task


def lessons(config: Config) -> Iterator[Lesson]:
    """All of them, in the order of the plan."""
    steps = config.taught_steps()
    for key, label in methods_named(config):
        step = key.partition(".")[0]
        task = REGIMES[config.two_stage.regime].task if step == "two_stage" else "all"
        for pair in steps[step].pairs:
            if key.startswith("two_stage.methods") or config.serves(label, pair):
                yield Lesson(key, pair, label, task)
    for key, block in config.prunings:
        task = chain_task(config, block.chain)
        yield Lesson(key, block.pair, "kd", task)  # a dense student learns by it


def sound_needs(config: Config, label: str) -> Needs | None:
    """What the method of a label needs; None where there is no such method, or where its file does
    not say it as it must: a check says so."""
    name = config.method(label).method
    try:
        return catalogue.method_needs(name) if name in catalogue.methods() else None
    except UserError:
        return None


def above(config: Config, lesson: Lesson) -> NetworkEntry | None:
    """Who teaches: the pair's teacher, or the last of its assistants; None where there is no such
    pair."""
    if lesson.pair not in config.pairs:
        return None
    pair = config.pairs[lesson.pair]
    assisted = config.method(lesson.label).teacher == "assistant" and pair.assistants
    return pair.assistants[-1] if assisted else pair.teacher
