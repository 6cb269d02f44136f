"""Reading a configuration: YAML → typed blocks with all defaults → checks across keys.

Every problem is reported at once, each with file, key, value and mend, before any job starts.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from stagewise.errors import UserError
from stagewise.study.config.blocks import gathered, keys
from stagewise.study.config.checks import problems
from stagewise.study.config.messages import explained
from stagewise.study.config.short import as_written, listed, short_problems, spread
from stagewise.study.config.study import Config
from stagewise.study.config.yaml_file import load_yaml

DEEPEST = 20
"""Levels of a configuration; more is an accident, or an attack on whoever walks through it."""

CONTROL = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]")
"""What no text has, but for tabs and ends of lines: it would hide in names, logs and pages."""

MANY = 100
"""Problems that a message lists."""


def load_config(path: Path | str) -> Config:
    """A validated configuration with all defaults filled in.

    Raises:
        UserError: lists every problem of the file.
    """
    return resolve_config(load_yaml(path), str(path))


def laid_over(paths: Sequence[Path | str]) -> Config:
    """A configuration of several files, the later ones laid over the former as Snakemake does with
    ``--configfile A B``: mappings are merged, all else is replaced.

    Raises:
        UserError: lists every problem.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        content = load_yaml(path)
        if not isinstance(content, dict):
            raise UserError(f"{path}: must be a mapping of keys, not {type(content).__name__}")
        _lay(content, merged)
    return resolve_config(merged, " + ".join(map(str, paths)))


def _lay(over: dict[str, Any], under: dict[str, Any]) -> None:
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            _lay(value, below)
        else:
            under[key] = value


def resolve_config(raw: Any, name: str = "config") -> Config:
    """Fill in defaults and validate; ``name`` stands for the file in messages.

    Raises:
        UserError: lists every problem.
    """
    if not isinstance(raw, dict):
        raise UserError(f"{name}: must be a mapping of keys, not {type(raw).__name__}")
    found = list(islice(_no_data(raw), MANY))
    if not found:
        config, wrong = _typed(raw)
        found = list(islice(wrong, MANY))
    if len(found) == MANY:
        found.append(f"and maybe more; mend these {MANY} first")
    if found:
        raise UserError("\n".join(f"{name}: {problem}" for problem in found))
    return config


def _no_data(value: Any, key: str = "", depth: int = 0) -> Iterator[str]:
    """What is no plain data: keys that are no text (1: or yes:), numbers that are none (.nan,
    .inf), YAML's dates and bytes, text that no file can hold, endless nesting."""
    where = key or "(top level)"
    if depth > DEEPEST:
        yield f"{where}: nested too deeply; flatten it"
    elif isinstance(value, dict):
        for name, child in value.items():
            if not isinstance(name, str):
                yield f"{where}: the key {name!r} is no text; put it in quotes"
            else:
                yield from _no_data(name, where)
                yield from _no_data(child, f"{key}.{name}".lstrip("."), depth + 1)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _no_data(child, f"{key}.{index}", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{where}: {value} is no finite number; give one"
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            yield f"{where}: {value[:80]!a} is no Unicode text; write it anew"
        elif CONTROL.search(value):
            yield f"{where}: {value[:80]!a} holds a control character; take it out"
    elif value is not None and not isinstance(value, int):
        kind = type(value).__name__
        yield f"{where}: YAML reads a {kind}; put it in quotes to give a value of type string"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _typed(raw: dict[str, Any]) -> tuple[Config, Iterator[str]]:
    """The configuration, as far as it is sound, and what is wrong with it.

    As JSON, because there a list is a tuple and an object a block, and nothing else is converted.
    """
    whole = listed(raw)
    given = gathered(whole, Config)
    errors: list[ErrorDetails] = []
    try:
        config: Config = _adapter(Config).validate_json(json.dumps(given))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        config = _sound(given, {str(each["loc"][0]) for each in errors if each["loc"]})
    spread_out = spread(config)
    found = chain(explained(errors, whole, Config), short_problems(raw), problems(spread_out))
    return spread_out, (as_written(problem, config, raw) for problem in found)


def _sound(given: dict[str, Any], broken: set[str]) -> Config:
    """The blocks that are not ``broken``; the others are None, and no check looks at them."""
    found: dict[str, Any] = dict.fromkeys(keys(Config).keys() & broken)
    for name in given.keys() - broken:
        found[name] = _adapter(keys(Config)[name]).validate_json(json.dumps(given[name]))
    return Config(**found)
