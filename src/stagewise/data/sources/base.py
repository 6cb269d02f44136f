"""How the name of a data source becomes its data."""

import importlib
from pathlib import Path
from typing import Any

from stagewise import catalogue
from stagewise.data.raw import RawData


def load_source(name: str, options: dict[str, Any], cache: Path) -> RawData:
    """The data of the source ``name`` (a file of this folder); ``cache`` is for what it fetches."""
    module = importlib.import_module(catalogue.module_name(catalogue.sources()[name]))
    raw: RawData = module.load(cache, **options)
    return raw
