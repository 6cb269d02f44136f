"""Reading a configuration: YAML → defaults → JSON Schema → checks across keys.

Every problem is reported at once, each with file, key, value and mend, before any job starts.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.protocols import Validator

from stagewise.errors import UserError
from stagewise.study.checks import problems
from stagewise.study.checks.common import Config, nearest
from stagewise.study.schema import schema

LONGEST = 200
"""Characters that a message quotes of a value."""


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a repeated key (plain YAML keeps the last one silently) and aliases
    (a few nested ones stand for billions of values)."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise UserError(
                f"{mark.name}: line {mark.line + 1}: an alias (*name); write the value out instead"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(
                    f"{node.start_mark.name}: {key}: the key stands twice in one block"
                    f" (from line {node.start_mark.line + 1}); keep one"
                )
        return super().construct_mapping(node, deep)


def load_yaml(path: Path | str) -> Any:
    """Read one YAML file; raises ``UserError`` where it is missing or is not YAML."""
    try:
        with open(path, encoding="utf-8") as stream:
            return yaml.load(stream, _Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name an existing configuration") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a readable file") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML: nested too deeply; flatten it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: not valid YAML: {error}; correct it there") from None


def load_config(path: Path | str) -> Config:
    """A validated configuration with all defaults filled in.

    Raises:
        UserError: lists every problem of the file.
    """
    return resolve_config(load_yaml(path), str(path))


def resolve_config(raw: Any, name: str = "config") -> Config:
    """Fill in defaults and validate; ``name`` stands for the file in messages."""
    if not isinstance(raw, dict):
        raise UserError(f"{name}: must be a mapping of keys, not {type(raw).__name__}")
    found = list(_plain_problems(raw))
    if not found:
        config: Config = _with_defaults(raw, schema(), schema()["$defs"])
        errors = list(_validator().iter_errors(config))
        broken = {str(error.absolute_path[0]) for error in errors if error.absolute_path}
        found = [*map(_explain, errors), *problems(config, broken)]
    if found:
        raise UserError("\n".join(f"{name}: {problem}" for problem in found))
    return config


def _plain_problems(value: Any, key: str = "") -> Iterator[str]:
    """Keys that are no text (1: or yes:), numbers that are none (.nan, .inf)."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{key}: {value} is no finite number; give one"
    if isinstance(value, dict):
        for name, child in value.items():
            if not isinstance(name, str):
                yield f"{key or '(top level)'}: the key {name!r} is no text; put it in quotes"
            yield from _plain_problems(child, f"{key}.{name}".lstrip("."))
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from _plain_problems(child, f"{key}.{index}")


@cache
def _validator() -> Validator:
    return jsonschema.Draft202012Validator(schema())


def _with_defaults(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """A copy of ``value`` in which absent keys have their schema's default, at every depth."""
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    if isinstance(value, list) and "items" in schema:
        return [_with_defaults(item, schema["items"], definitions) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    properties = schema.get("properties", {})
    for key, child in properties.items():
        if key not in filled and "default" in child:
            filled[key] = child["default"]
        if key in filled:
            filled[key] = _with_defaults(filled[key], child, definitions)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key in filled.keys() - properties.keys():
            filled[key] = _with_defaults(filled[key], others, definitions)
    return filled


def _explain(error: jsonschema.ValidationError) -> str:
    """One line: key, value, what is wrong, the mend."""
    key = ".".join(map(str, error.absolute_path)) or "(top level)"
    rule, limit, schema = str(error.validator), error.validator_value, error.schema
    assert isinstance(schema, Mapping)
    value: Any = error.instance
    if rule == "additionalProperties":
        known = schema["properties"]
        unknown = sorted(set(value) - set(known))
        hints = [f"'{name}': {nearest(name, known)}" for name in unknown]
        return f"{key}: unknown key {'; '.join(hints)}"
    if rule == "enum":
        assert isinstance(limit, list)
        return f"{key}: {value!r} is unknown; {nearest(str(value), map(str, limit))}"
    mends = {
        "required": "add it",
        "uniqueItems": "remove the repeated entry",
        "type": f"give a value of type {limit}",
        "pattern": "use lower-case letters, digits and '-'",
    }
    mend = mends.get(rule) or schema.get("description") or "choose a value within the limit"
    return f"{key}: {_short(error.message)}; {mend}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
