"""A configuration's JSON Schema and the page of all its keys, from the blocks themselves."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from stagewise.study.config.blocks import Open, bare, default_of, keys, meanings, plain
from stagewise.study.config.study import Config
from stagewise.study.spec import Training

PAGE = """# All keys of a configuration

`make config-docs` writes this page from the blocks of `src/stagewise/study/config/`; nothing in it
is typed by hand. Editors that know JSON Schema complete and check keys by
[config.schema.json](config.schema.json), which each shipped configuration names in its first line.

A key without a default must be given. An *override* is a mapping of keys of `training`, each
optional. Where a block has further keys, they are options of the file that it names, checked when
the configuration is read: for networks see [the zoo](zoo.md), for data [data.md](data.md); those of
a method or recipe are the keyword-only parameters of its class or function.
"""


class _Described(GenerateJsonSchema):
    """Without titles, with the meanings of keys; open blocks take further keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        found, kind = super().dataclass_schema(schema), schema["cls"]
        _describe(found, kind)
        found["description"] = _line(kind)
        if issubclass(kind, Open):
            del found["properties"]["options"]
            del found["additionalProperties"]
        return found

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        found = super().typed_dict_schema(schema)
        _describe(found, Training)
        return found


def _line(kind: type) -> str:
    """A block's docstring in one line of Markdown."""
    return " ".join((kind.__doc__ or "").replace("``", "`").split())


def _describe(schema: JsonSchemaValue, kind: type) -> None:
    """Add what the keys of a block mean."""
    schema.pop("title", None)
    for name, text in meanings(kind).items():
        schema["properties"][name]["description"] = text


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a configuration. It asks for no key, because a configuration may be laid
    over another one."""
    found = TypeAdapter(Config).json_schema(schema_generator=_Described)
    del found["required"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A Stagewise study",
        **found,
    }


def schema_text() -> str:
    """``docs/config.schema.json``."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """``docs/config.md``."""
    schema = json_schema()
    tables = ["\n".join(_table(where, kind, schema)) for where, kind in _blocks(Config, "")]
    return "\n".join([PAGE, *tables])


def _blocks(kind: type, where: str) -> Iterator[tuple[str, type]]:
    """Dotted place and type of a block and of those in it."""
    yield where, kind
    for name, hint in keys(kind).items():
        inner, place = bare(hint), f"{where}.{name}".lstrip(".")
        if get_origin(inner) is tuple:
            inner, place = bare(get_args(inner)[0]), f"{place}.<number>"
        elif get_origin(inner) is dict:
            inner, place = bare(get_args(inner)[1]), f"{place}.<{NAMES.get(name, 'name')}>"
        if isinstance(inner, type) and is_dataclass(inner) and not _is_override(hint):
            yield from _blocks(inner, place)


NAMES = {"pairs": "pair", "methods": "label"}
"""Mapping → what its keys are."""


def _is_override(hint: Any) -> bool:
    return bare(hint) is Training and hint is not Training


def _table(where: str, kind: type, schema: dict[str, Any]) -> Iterator[str]:
    """The section of a block."""
    yield f"## `{where}`\n" if where else "## The whole\n"
    yield _line(kind) + "\n"
    yield "| key | default | value | meaning |"
    yield "|---|---|---|---|"
    own = schema if kind is Config else schema["$defs"][kind.__name__]
    for each in fields(kind):
        if each.name in own["properties"]:
            found = own["properties"][each.name]
            override = _is_override(keys(kind)[each.name])
            value = "override" if override else _value(found)
            cells = (f"`{each.name}`", _default(each), value, found["description"])
            yield f"| {' | '.join(cell.replace('|', '·') for cell in cells)} |"
    yield ""


def _default(each: Any) -> str:
    default = default_of(each)
    if default is MISSING:
        return ""
    if each.metadata.get("optional") and not default:
        return "–"
    if is_dataclass(default):
        return "see below"
    return f"`{json.dumps(plain(default), ensure_ascii=False)}`"


def _value(found: dict[str, Any]) -> str:
    """What a key takes, in words."""
    if "anyOf" in found:
        return ", or ".join(_value(kind) for kind in found["anyOf"])
    if "enum" in found:
        return ", ".join(f"`{name}`" for name in found["enum"])
    if "$ref" in found:
        return "block"
    kind = found["type"]
    if "examples" in found:
        return f"{WORDS[kind]} like `{found['examples'][0]}`"
    if kind == "array":
        least = f" of at least {found['minItems']}" if "minItems" in found else ""
        return f"list{least}: {_value(found['items'])}"
    if "properties" in found:
        return "override"
    if kind == "object":
        [inside] = found.get("patternProperties", {"": found.get("additionalProperties")}).values()
        return f"mapping to {_value(inside)}"
    name = "name of lower-case letters, digits, `-`" if "pattern" in found else WORDS[kind]
    return ", ".join([name, *(words.format(found[key]) for key, words in LIMITS if key in found)])


WORDS = {
    "boolean": "`true`, `false`",
    "integer": "whole number",
    "null": "`null`",
    "number": "number",
    "string": "text",
}
"""JSON Schema's types, as the page calls them."""

LIMITS = (
    ("minimum", "at least {:,}"),
    ("exclusiveMinimum", "above {:,}"),
    ("maximum", "at most {:,}"),
    ("exclusiveMaximum", "below {:,}"),
)
"""Its limits, in words."""
