"""What pydantic finds wrong, in our words: one line a key, with its value and the mend."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from pydantic_core import ErrorDetails

from stagewise.catalogue import nearest
from stagewise.study.config.blocks import below, keys, meanings

LONGEST = 200
"""Characters that a message quotes of a value."""

MANY = 20
"""Unknown keys of a block that a message names."""

Key = tuple[str | int, ...]

TYPES = {
    "bool_type": "boolean",
    "dataclass_type": "object",
    "dict_type": "object",
    "float_type": "number",
    "int_type": "integer",
    "string_type": "string",
    "tuple_type": "array",
}
"""Pydantic's complaint of a wrong type → the type that is wanted, as JSON calls it."""

LIMITS = {
    "greater_than": ("less than or equal to the minimum of", "gt"),
    "greater_than_equal": ("less than the minimum of", "ge"),
    "less_than": ("greater than or equal to the maximum of", "lt"),
    "less_than_equal": ("greater than the maximum of", "le"),
}
"""Its complaint of a number → our words, and where it keeps the limit."""

UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")


def explained(errors: Sequence[ErrorDetails], raw: Any, root: type) -> Iterator[str]:
    """One line for each key that is wrong."""
    found: dict[Key, list[ErrorDetails]] = {}
    for error in errors:
        place = _place(error["loc"], raw)
        if error["type"] in UNKNOWN:
            place = place[:-1]
        found.setdefault(place, []).append(error)
    for place, wrong in found.items():
        key = ".".join(map(str, place)) or "(top level)"
        unknown = sorted(str(error["loc"][-1]) for error in wrong if error["type"] in UNKNOWN)
        if unknown:
            known = keys(_block(root, place))
            hints = [f"'{_short(name)}': {nearest(name, known)}" for name in unknown[:MANY]]
            more = f"; and {len(unknown) - MANY} more" if len(unknown) > MANY else ""
            yield f"{key}: unknown key {'; '.join(hints)}{more}"
        missing = [error["loc"][-1] for error in wrong if error["type"] == "missing"]
        yield from (f"{key}: '{name}' is a required property; add it" for name in missing)
        others = [error for error in wrong if error["type"] not in (*UNKNOWN, "missing")]
        if others and not (others[0]["type"] == "too_short" and _broken_inside(place, found)):
            yield f"{key}: {_explain(others)}{_meaning(root, place)}"


def _broken_inside(place: Key, places: Iterable[Key]) -> bool:
    """Whether an entry of what stands at ``place`` is wrong: pydantic counts the others alone."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


def _place(location: Key, raw: Any) -> Key:
    """The part of a location that leads into ``raw``: what follows names the types of a union."""
    found: list[str | int] = []
    for part in location:
        keyed = isinstance(raw, Mapping) and part in raw
        if not keyed and not (isinstance(raw, list) and isinstance(part, int)):
            break
        found.append(part)
        raw = raw[part]
    return tuple(found)


def _explain(errors: Sequence[ErrorDetails]) -> str:
    """What is wrong with one value, and the mend. Of a union's complaints those count that go
    deepest, and those of the types that the value has not only where there are no others."""
    depth = max(len(error["loc"]) for error in errors)
    errors = [error for error in errors if len(error["loc"]) == depth]
    error = next((error for error in errors if error["type"] not in TYPES), errors[0])
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    shown = _short(repr(value))
    if kind in TYPES:
        kinds = [TYPES[each["type"]] for each in errors if each["input"] == value]
        return _wrong_type(value, kinds)
    if kind in LIMITS:
        words, limit = LIMITS[kind]
        return f"{shown} is {words} {context[limit]}; choose a value within the limit"
    if kind == "literal_error":
        known = re.findall("'([^']+)'", context["expected"])
        return f"{shown} is unknown; {nearest(str(value), known)}"
    if kind == "too_short":
        short = "is too short" if value else "should be non-empty"
        return f"{shown} {short}; give at least {context['min_length']}"
    if kind == "too_long":
        return f"{len(value)} entries are too many; give at most {context['max_length']}"
    mends = {
        "repeated": "has an entry that stands twice; remove the repeated entry",
        "string_pattern_mismatch": "is no such name; use lower-case letters, digits and '-'",
        "string_too_long": f"is too long; use at most {context.get('max_length')} characters",
        "string_too_short": "should be non-empty; give a text",
    }
    return f"{shown} {mends.get(kind) or 'is wrong: ' + error['msg'] + '; correct it'}"


def _wrong_type(value: Any, wanted: Sequence[str]) -> str:
    """A value of another type; what YAML reads otherwise than its author may think is said."""
    kinds = " or ".join(dict.fromkeys(wanted))
    mend = f"give a value of type {kinds}"
    if "integer" in wanted and isinstance(value, float) and value.is_integer():
        mend = f"write {int(value)}"
    if "number" in wanted and isinstance(value, str) and (text := _number(value)):
        mend = f"YAML reads a text; write {text}"
    return f"{_short(repr(value))} is not of type {kinds!r}; {mend}"


def _number(text: str) -> str:
    """A number that YAML takes for a text, as YAML wants it: 1e-3 is 1.0e-3. Empty for others."""
    try:
        number = float(text)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", text)
    return f"{match[1]}{match[2] or '.0'}e{match[3] or '+'}{match[4]}" if match else f"{number:g}"


def _meaning(root: type, place: Key) -> str:
    """What the key at a place means; empty where that is an entry of a list or mapping."""
    if not place:
        return ""
    kind: type = _block(root, place[:-1])
    text = meanings(kind).get(str(place[-1]), "") if is_dataclass(kind) else ""
    return f" ({text.rstrip('.')})" if text else ""


def _block(root: Any, place: Key) -> Any:
    """The type of what stands at a place of a configuration."""
    for part in place:
        root = below(root, part)
    return root


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
