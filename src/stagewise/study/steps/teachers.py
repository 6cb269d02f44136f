"""Teachers, the assistants between them and their students, and what is trained on a frozen one."""

from collections.abc import Iterator
from typing import NamedTuple

from stagewise import catalogue
from stagewise.study.config import Config
from stagewise.study.config.lessons import Lesson, lessons
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.planned import PlannedRun
from stagewise.study.regimes import REGIMES, given_folder
from stagewise.study.spec import AS_IS, Entry, Images
from stagewise.study.steps.arms import (
    ONE_STAGE,
    imagenet_start,
    network_entry,
    of_teachers,
    recipe_entry,
    trained,
    training,
)


class Prepared(NamedTuple):
    """How the network that a method learns from is made of a pair's teacher: what the run is
    called, what trains it, by which recipe, and from which start."""

    name: str
    method: str
    recipe: Entry
    init: str


FROZEN: Entry = {"recipe": "frozen_backbone"}
TRAINED_WHOLE = {
    "joint": Prepared("joint-exits", "exits_ce", ONE_STAGE, "scratch"),
    "self_distilled": Prepared("self-distilled-exits", "self_distillation", ONE_STAGE, "scratch"),
}
"""``teacher_exits`` of a method → its teacher, where that is not the plain one with exits on its
frozen backbone."""

GIVEN: dict[str, tuple[str, Entry]] = {
    "kept": ("given", {"recipe": AS_IS}),
    "new": ("features", ONE_STAGE),
}
"""``head`` of a teacher with weights of the user's → start and recipe of its run."""

SUFFIX = {"all": "", "target": ".target"}
"""What the names of a task's teachers end in."""


def teachers(config: Config) -> Iterator[PlannedRun]:
    """Teachers on all images of their classes; assistants and parts where a method asks for one."""
    for pair in config.pairs:
        yield from _teacher(config, pair, "all")
    task = REGIMES[config.two_stage.regime].task
    for pair in config.two_stage.pairs if task != "all" else ():
        yield from _teacher(config, pair, task)
    taught = list(lessons(config))
    assisted = [each for each in taught if config.method(each.label).teacher == "assistant"]
    for pair, task in dict.fromkeys((each.pair, each.task) for each in assisted):
        yield from _assistants(config, pair, task)
    made = {_path(config, each): each for each in taught if _prepared(config, each.label)}
    for lesson in made.values():
        yield from _teacher_for(config, lesson)


def teacher_path(config: Config, pair: str, task: str) -> str:
    """Folder of a pair's teacher, for the seed that asks (``{seed}`` where each has its own)."""
    return of_teachers(config, _teacher_arm(pair, task))


def taught_by(config: Config, pair: str, task: str, label: str) -> str:
    """Folder of what a method (a label) learns from: the teacher or the last assistant, or what was
    trained on it first where the method needs that."""
    return _path(config, Lesson("", pair, label, task))


def _teacher_arm(pair: str, task: str) -> str:
    return f"teachers/{pair}{SUFFIX[task]}"


def _assistant_arm(pair: str, task: str, number: int) -> str:
    return f"{_teacher_arm(pair, task)}.assistant-{number}"


def _prepared(config: Config, label: str) -> Prepared | None:
    """What the method of a label needs of its teacher beyond the plain one; maybe nothing."""
    entry = config.method(label)
    part = catalogue.method_needs(entry.method).teacher_part
    if not part:
        return None
    frozen = Prepared(catalogue.teacher_part(part), part, FROZEN, "parent")
    return TRAINED_WHOLE.get(entry.teacher_exits, frozen)


def _above(config: Config, lesson: Lesson) -> tuple[str, NetworkEntry, str]:
    """Who teaches: arm, network, and what it is in tables."""
    pair, entry = lesson.pair, config.pairs[lesson.pair]
    if config.method(lesson.label).teacher == "assistant":
        number = len(entry.assistants)
        return _assistant_arm(pair, lesson.task, number), entry.assistants[-1], "assistant"
    return _teacher_arm(pair, lesson.task), entry.teacher, "teacher"


def _path(config: Config, lesson: Lesson) -> str:
    arm, _, _ = _above(config, lesson)
    prepared = _prepared(config, lesson.label)
    arm = f"{arm}.{prepared.name}" if prepared else arm
    return of_teachers(config, arm)


def _teacher(config: Config, pair: str, task: str) -> Iterator[PlannedRun]:
    """A pair's teacher on the classes of a task."""
    arm, entry = _teacher_arm(pair, task), config.pairs[pair].teacher
    init, start, recipe = *imagenet_start(config, pair, entry), ONE_STAGE
    if entry.weights:
        init, recipe = GIVEN[entry.head]
        start = {"init": given_folder(config.study, pair)}
    yield from trained(
        config,
        arm,
        config.teacher_seeds,
        data=Images(task=task, images="full"),
        init=init,
        network=network_entry(entry),
        method="ce",
        recipe=recipe,
        training=training(config, arm, config.teachers.training),
        parents=start,
        labels={"pair": pair, "task": task, "network": "teacher", "display": "teacher"},
    )


def _assistants(config: Config, pair: str, task: str) -> Iterator[PlannedRun]:
    """A pair's assistants, each taught with KD by the one above it (TAKD: Mirzadeh et al. 2020)."""
    teacher = above = teacher_path(config, pair, task)
    for number, entry in enumerate(config.pairs[pair].assistants, start=1):
        arm = _assistant_arm(pair, task, number)
        init, start = imagenet_start(config, pair, entry)
        yield from trained(
            config,
            arm,
            config.teacher_seeds,
            data=Images(task=task, images="full"),
            init=init,
            network=network_entry(entry),
            method="kd",
            recipe=recipe_entry(config, "kd"),
            training=training(config, arm, config.teachers.training, entry.training),
            parents={**start, "teacher": above},
            reference=teacher,
            labels={
                "pair": pair,
                "task": task,
                "network": "assistant",
                "display": f"assistant {number}",
            },
        )
        above = of_teachers(config, arm)


def _teacher_for(config: Config, lesson: Lesson) -> Iterator[PlannedRun]:
    """What a method learns from that needs more of its teacher, once for all seeds and students: a
    part trained on the frozen network, or that network trained with its exits from scratch, as
    teachers are."""
    above, entry, role = _above(config, lesson)
    prepared = _prepared(config, lesson.label)
    assert prepared is not None
    needs, arm = catalogue.method_needs(prepared.method), f"{above}.{prepared.name}"
    frozen = prepared.init == "parent"
    exits = config.multi_exit.teacher_exits if needs.exits else {}
    own = (exits, config.method(prepared.method).training) if frozen else ()
    yield from trained(
        config,
        arm,
        config.teacher_seeds,
        data=Images(task=lesson.task, images="full"),
        init=prepared.init,
        network=network_entry(entry),
        method=prepared.method,
        recipe=prepared.recipe,
        training=training(config, arm, config.teachers.training, *own),
        exits=config.multi_exit.head if needs.exits else "",
        exit_places=config.multi_exit.places if needs.exits else (),
        parents={"init": of_teachers(config, above)} if frozen else {},
        reference=teacher_path(config, lesson.pair, lesson.task),
        labels={
            "pair": lesson.pair,
            "task": lesson.task,
            "network": role,
            "display": f"{role} with {prepared.name}",
        },
    )
