"""The page of all keys and the schema for editors are what the blocks say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stagewise.study.config import load_yaml
from stagewise.study.config.reference import json_schema, page, schema_text

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [ROOT / "config.yaml", *sorted((ROOT / "config").glob("*.yaml"))]


def test_the_page_and_the_schema_are_current() -> None:
    assert (ROOT / "docs/config.md").read_text(encoding="utf-8") == page(), "make config-docs"
    found = (ROOT / "docs/config.schema.json").read_text(encoding="utf-8")
    assert found == schema_text(), "make config-docs"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_each_shipped_configuration_names_the_schema_and_keeps_to_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    schema = path.parent / first.removeprefix("# yaml-language-server: $schema=")
    assert schema.resolve() == ROOT / "docs/config.schema.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(load_yaml(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sedes": [1]},
        {"seeds": [1, 1]},
        {"training": {"lr": "fast"}},
        {"students": {"training": {"epoch": 1}}},
        {"pairs": {"p": {"teacher": {"network": "resnet14"}}}},
        {"data": {"source": "digits", "classes": [1]}},
    ],
)
def test_the_schema_refuses_what_we_refuse(wrong: dict[str, Any]) -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_every_key_has_a_meaning() -> None:
    schema = json_schema()
    for block in (schema, *schema["$defs"].values()):
        for key, found in block["properties"].items():
            assert found.get("description"), key
            assert "title" not in found, key
