"""Names that must be known, and options of a member of the catalogue."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stagewise.catalogue import nearest

Problems = Iterator[str]

KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
    tuple: ((list,), "a list"),
    list: ((list,), "a list"),
}
"""Type of an option's default → types that the option takes, and their name."""


def unknown(key: str, value: str, known: Iterable[str]) -> str:
    """``value`` is none of the ``known`` names."""
    return f"{key}: '{value:.200}' is unknown; {nearest(value, known)}"


def option_problems(key: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> Problems:
    """Options that do not exist, or are of another type than their default."""
    for option, value in given.items():
        if option not in known:
            yield unknown(key, option, known)
        elif known[option] is not None:
            kind = type(known[option])
            types, name = KINDS[kind]
            if not isinstance(value, types) or isinstance(value, bool) != (kind is bool):
                yield f"{key}.{option}: {value!r:.200} is of the wrong type; give {name}"
