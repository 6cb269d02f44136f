"""What the blocks of a configuration share: how they are checked, and how they become plain again.

A block is a frozen dataclass. Its attributes are the keys, their types hold the limits, and the
docstring under each is its meaning, with its unit: messages, ``docs/config.md`` and
``docs/config.schema.json`` quote it.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, cast, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import PydanticCustomError, core_schema

from stagewise.study.spec import Training

MOST = 1000
"""Entries that a list or mapping of a configuration holds at most."""


class Unique:
    """No entry stands twice."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(_once, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "uniqueItems": True}


def _once(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(value)) < len(value):
        raise PydanticCustomError("repeated", "has an entry that stands twice")
    return value


class OneOrMore:
    """A list, or a single entry; ``listed`` makes it a list before it is read."""

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        return {"anyOf": [found["items"], found]}


class TrainingKeys:
    """The keys of ``training``, each optional."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        found = {
            name: core_schema.typed_dict_field(handler.generate_schema(kind), required=False)
            for name, kind in keys(Training).items()
        }
        strict = core_schema.CoreConfig(strict=True)
        return core_schema.typed_dict_schema(found, extra_behavior="forbid", config=strict)


Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Share = Annotated[float, Gt(0), Lt(1)]
Text = Annotated[str, MaxLen(MOST)]
StudyName = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]*$", max_length=60)]
PairName = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Label = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9_]*$", max_length=60)]
Names = Annotated[tuple[Text, ...], MaxLen(MOST), Unique()]
Places = Annotated[tuple[Annotated[Text, MinLen(1)], ...], MaxLen(MOST), Unique()]
ExitPlaces = Annotated[tuple[Annotated[int, Ge(1)], ...], MaxLen(MOST), Unique()]
Overrides = Annotated[dict[str, Any], TrainingKeys()]


def optional(default: Any = None) -> Any:
    """A key that is not written down where it has its default: it then means nothing."""
    return field(default=default, metadata={"optional": True})


def optional_mapping() -> Any:
    """The same, empty by default."""
    return field(default_factory=dict, metadata={"optional": True})


@dataclass(frozen=True, kw_only=True)
class Block:
    """A mapping of known keys."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "strict": True}

    def as_dict(self) -> dict[str, Any]:
        """Plain values with all defaults filled in, as JSON and YAML have them."""
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if not (each.metadata.get("optional") and value == default_of(each)):
                found[each.name] = plain(value)
        return found


@dataclass(frozen=True, kw_only=True)
class Open(Block):
    """A block that names a member of the catalogue; its further keys are that member's options."""

    options: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the options stand beside the other keys."""
        found = super().as_dict()
        options: dict[str, Any] = found.pop("options")
        return found | options


def gathered(value: Any, kind: Any) -> Any:
    """A copy of what is given for a ``kind``, in which open blocks have their further keys under
    ``options``."""
    if isinstance(value, list):
        return [gathered(child, below(kind, 0)) for child in value]
    if not isinstance(value, dict):
        return value
    found = {key: gathered(child, below(kind, key)) for key, child in value.items()}
    if not (isinstance(kind, type) and issubclass(kind, Open)):
        return found
    own = found.keys() & keys(cast(type, kind)).keys() - {"options"}
    options = {key: given for key, given in found.items() if key not in own}
    return {**{key: found[key] for key in own}, "options": options}


@cache
def keys(kind: type) -> dict[str, Any]:
    """Attribute → type, with its limits, of a block."""
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in fields(cast(Any, kind))}


def below(kind: Any, part: str | int) -> Any:
    """The type of what stands under a key, or a number, in a value of a type, without its limits;
    a block where ``kind`` allows one, and None where nothing is known."""
    if is_dataclass(kind):
        return bare(keys(cast(type, kind)).get(str(part)))
    inside = get_args(kind) or (None,)
    return bare(inside[0 if isinstance(part, int) else -1])


def bare(kind: Any) -> Any:
    """A type without its limits: of a union the block, or its first type."""
    if get_origin(kind) is Annotated:
        inner, *limits = get_args(kind)
        return Training if any(isinstance(each, TrainingKeys) for each in limits) else bare(inner)
    if isinstance(kind, UnionType):
        kinds = [bare(each) for each in get_args(kind)]
        return next((each for each in kinds if is_dataclass(each)), kinds[0])
    return kind


def default_of(each: Any) -> Any:
    """The default of a dataclass's field; ``MISSING`` where it has none."""
    return each.default if each.default_factory is MISSING else each.default_factory()


def plain(value: Any) -> Any:
    """A value of a block as JSON and YAML have it."""
    if isinstance(value, Block):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, list | tuple) else value


@cache
def meanings(kind: type) -> dict[str, str]:
    """Attribute → its docstring, in one line, of a dataclass and of those that it is built on."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if not is_dataclass(base):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for node, after in zip(body.body, body.body[1:], strict=False):
            match node, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                    value=ast.Constant(value=str(text))
                ):
                    found[name] = " ".join(text.split())
    return found
