"""Reading a configuration: YAML → defaults → JSON Schema → checks across keys.

Every problem is reported at once, each with file, key, value and mend, before any job starts.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.protocols import Validator

from stagewise import catalogue
from stagewise.errors import UserError

Config = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a repeated key (plain YAML keeps the last one silently)."""

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
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None


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
    config: Config = _with_defaults(raw, _schema(), _schema()["$defs"])
    problems = [_explain(error) for error in _validator().iter_errors(config)]
    if not problems:
        problems = list(_semantic_problems(config))
    if problems:
        raise UserError("\n".join(f"{name}: {problem}" for problem in problems))
    return config


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "schema.yaml").read_text())
    return schema


@cache
def _validator() -> Validator:
    return jsonschema.Draft202012Validator(_schema())


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


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or the list of known names."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


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
        return f"{key}: {value!r} is unknown; {nearest(str(value), limit)}"
    mends = {
        "required": "add it",
        "uniqueItems": "remove the repeated entry",
        "type": f"give a value of type {limit}",
        "pattern": "use lower-case letters, digits and '-'",
    }
    mend = mends.get(rule) or schema.get("description") or "choose a value within the limit"
    return f"{key}: {error.message}; {mend}"


def _unknown(key: str, value: str, known: Iterable[str]) -> str:
    return f"{key}: '{value}' is unknown; {nearest(value, known)}"


def _semantic_problems(config: Config) -> Iterator[str]:
    """What a schema cannot see: names that must exist, settings that must fit each other."""
    yield from _data_problems(config)
    yield from _network_problems(config)
    yield from _method_problems(config)
    pairs = config["pairs"]
    for step in ("distillation", "two_stage", "multi_exit"):
        for index, pair in enumerate(config[step]["pairs"]):
            if pair not in pairs:
                yield _unknown(f"{step}.pairs.{index}", pair, pairs)
    if config["two_stage"]["pairs"] and not config["data"]["source_classes"]:
        yield "data.source_classes: two_stage pretrains on source classes; list at least two"
    for index, block in enumerate(config["pruning"]):
        if block["pair"] not in pairs:
            yield _unknown(f"pruning.{index}.pair", block["pair"], pairs)
        elif block["chain"] == "two_stage" and block["pair"] not in config["two_stage"]["pairs"]:
            yield (
                f"pruning.{index}.chain: two_stage, but two_stage.pairs lacks"
                f" '{block['pair']}'; add it there, or prune the baseline"
            )


def _data_problems(config: Config) -> Iterator[str]:
    data = config["data"]
    sources = catalogue.sources()
    if data["source"] not in sources:
        yield _unknown("data.source", data["source"], sources)
        return
    known = catalogue.source_options(data["source"])
    for option in data["options"]:
        if option not in known:
            yield _unknown("data.options", option, known)
    if data["validation"] + data["test"] >= 1:
        yield (
            f"data.validation: {data['validation']} and data.test: {data['test']} leave no images"
            " for training; lower one"
        )
    if len(data["source_classes"]) == 1:
        yield "data.source_classes: one class cannot be told from itself; list at least two"


def _network_problems(config: Config) -> Iterator[str]:
    for pair, roles in config["pairs"].items():
        for role, entry in roles.items():
            key, name = f"pairs.{pair}.{role}", entry["network"]
            if name not in catalogue.networks():
                yield _unknown(f"{key}.network", name, catalogue.networks())
                continue
            known = catalogue.network_options(name)
            for option, value in entry.items():
                if option == "network":
                    continue
                if option not in known:
                    yield _unknown(key, option, known)
                elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
                    yield f"{key}.{option}: {value!r} must be a whole number from 1"


def method_entry(config: Config, label: str) -> dict[str, Any]:
    """The ``methods`` entry of a label; an empty one where the config has none."""
    return {"method": label, **config["methods"].get(label, {})}


def _method_problems(config: Config) -> Iterator[str]:
    known = catalogue.methods()
    used = {
        f"{step}.methods.{index}": label
        for step in ("distillation", "two_stage", "multi_exit")
        for index, label in enumerate(config[step]["methods"])
        if config[step]["pairs"]
    }
    for key, label in used.items():
        if label not in config["methods"] and label not in known:
            yield _unknown(key, label, [*config["methods"], *known])
    for label in config["methods"]:
        entry = method_entry(config, label)
        name = entry["method"]
        if name not in known:
            yield _unknown(f"methods.{label}", name, known)
            continue
        options = catalogue.method_options(name)
        for option in entry.keys() - {"method", "weights"} - options.keys():
            yield _unknown(f"methods.{label}", option, options)
        terms = catalogue.method_weights(name)
        weights = entry.get("weights", {})
        for term in weights.keys() - terms.keys():
            yield _unknown(f"methods.{label}.weights", term, terms)
        if terms and not any({**terms, **weights}.values()):
            yield f"methods.{label}.weights: all are 0, so nothing is learned; raise one"
    for key, label in used.items():
        name = method_entry(config, label)["method"]
        if name not in known:
            continue
        multi_exit = key.startswith("multi_exit")
        if ("exits" in catalogue.method_needs(name)) != multi_exit:
            place = "multi_exit" if not multi_exit else "distillation or two_stage"
            yield f"{key}: '{label}' cannot serve here; move it to {place}.methods"
