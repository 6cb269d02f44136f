"""The short form of ``pairs``: one ``teacher``, and a ``student`` or several.

A configuration that has been read has pairs alone, whichever way it was written.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stagewise.study.config.pairs import NetworkEntry, Pair
from stagewise.study.config.study import Config

SHORT = ("teacher", "student")


def listed(raw: dict[str, Any]) -> dict[str, Any]:
    """A raw configuration in which a single student is a list of one."""
    student = raw.get("student")
    return raw | {"student": [student]} if isinstance(student, dict) else raw


def short_problems(raw: Mapping[str, Any]) -> Iterator[str]:
    """Pairs that are missing, half there, or given twice."""
    given = [key for key in SHORT if raw.get(key)]
    if "pairs" in raw:
        for key in given:
            yield f"{key}: pairs is there too, which says the same; remove one of them"
    elif not given:
        yield "(top level): 'pairs' is a required property; add it"
    else:
        yield from (
            f"(top level): '{key}' is a required property; add it"
            for key in SHORT
            if key not in given
        )


def spread(config: Config) -> Config:
    """The same with pairs alone."""
    if not (config.teacher and config.student):
        return config
    pairs = {
        name: Pair(teacher=config.teacher, student=student)
        for name, student in zip(names(config.student), config.student, strict=True)
    }
    return replace(config, pairs=pairs, teacher=None, student=())


def names(students: Sequence[NetworkEntry]) -> list[str]:
    """What the students' pairs are called: the networks, numbered where one stands twice."""
    seen, found = Counter[str](), []
    for student in students:
        seen[student.network] += 1
        count = seen[student.network]
        found.append(student.network if count == 1 else f"{student.network}-{count}")
    return found


def as_written(problem: str, given: Config, raw: Mapping[str, Any]) -> str:
    """What is said of a pair, or of the first of a list, of the keys that it was written with."""
    single = isinstance(raw.get("student"), dict)
    for number, name in enumerate(names(given.student or ())):
        problem = problem.replace(f"pairs.{name}.teacher", "teacher")
        problem = problem.replace(f"pairs.{name}.student", f"student.{number}")
    return problem.replace("student.0", "student") if single else problem
