"""The JSON Schema of a configuration: ``schema.yaml``."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def schema() -> dict[str, Any]:
    """The schema, with the defaults of all keys."""
    path = Path(__file__).with_name("schema.yaml")
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
