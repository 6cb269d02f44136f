"""Teachers, the assistants between them and their students, and what is trained on a frozen one."""

from collections.abc import Iterator

from stagewise import catalogue
from stagewise.study.config import Config
from stagewise.study.config.lessons import Lesson, lessons
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.planned import PlannedRun
from stagewise.study.regimes import REGIMES
from stagewise.study.spec import Images
from stagewise.study.steps.arms import (
    ONE_STAGE,
    imagenet_start,
    network_entry,
    of_teachers,
    recipe_entry,
    trained,
    training,
)

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
    parts = {_path(config, each): each for each in taught if _part(config, each.label)}
    for lesson in parts.values():
        yield from _part_of_teacher(config, lesson)


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


def _part(config: Config, label: str) -> str:
    """The method that is trained on the frozen teacher before that of a label; maybe none."""
    return catalogue.method_needs(config.method(label).method).teacher_part


def _above(config: Config, lesson: Lesson) -> tuple[str, NetworkEntry, str]:
    """Who teaches: arm, network, and what it is in tables."""
    pair, entry = lesson.pair, config.pairs[lesson.pair]
    if config.method(lesson.label).teacher == "assistant":
        number = len(entry.assistants)
        return _assistant_arm(pair, lesson.task, number), entry.assistants[-1], "assistant"
    return _teacher_arm(pair, lesson.task), entry.teacher, "teacher"


def _path(config: Config, lesson: Lesson) -> str:
    arm, _, _ = _above(config, lesson)
    part = _part(config, lesson.label)
    arm = f"{arm}.{catalogue.teacher_part(part)}" if part else arm
    return of_teachers(config, arm)


def _teacher(config: Config, pair: str, task: str) -> Iterator[PlannedRun]:
    """A pair's teacher on the classes of a task."""
    arm, entry = _teacher_arm(pair, task), config.pairs[pair].teacher
    init, start = imagenet_start(config, pair, entry)
    yield from trained(
        config,
        arm,
        config.teacher_seeds,
        data=Images(task=task, images="full"),
        init=init,
        network=network_entry(entry),
        method="ce",
        recipe=ONE_STAGE,
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


def _part_of_teacher(config: Config, lesson: Lesson) -> Iterator[PlannedRun]:
    """What a method learns from that needs a part on its teacher: the part's method, trained on the
    frozen network, once for all seeds and students."""
    above, entry, role = _above(config, lesson)
    method = _part(config, lesson.label)
    name, needs = catalogue.teacher_part(method), catalogue.method_needs(method)
    arm, own = f"{above}.{name}", config.method(method).training
    exits = config.multi_exit.teacher_exits if needs.exits else {}
    yield from trained(
        config,
        arm,
        config.teacher_seeds,
        data=Images(task=lesson.task, images="full"),
        init="parent",
        network=network_entry(entry),
        method=method,
        recipe={"recipe": "frozen_backbone"},
        training=training(config, arm, config.teachers.training, exits, own),
        exits=config.multi_exit.head if needs.exits else "",
        exit_places=config.multi_exit.places if needs.exits else (),
        parents={"init": of_teachers(config, above)},
        reference=teacher_path(config, lesson.pair, lesson.task),
        labels={
            "pair": lesson.pair,
            "task": lesson.task,
            "network": role,
            "display": f"{role} with {name}",
        },
    )
