"""What goes with the files: a model card, and a script that classifies pictures with them."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from stagewise.analysis.records.run_files import Taken


@cache
def _templates() -> jinja2.Environment:
    folder = files("stagewise").joinpath("ship/templates")
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown and Python
    )


def card(sheet: dict[str, Any], taken: Taken) -> str:
    """The model card of a shipment, as Markdown."""
    return _templates().get_template("card.md.j2").render(sheet=sheet, taken=taken)


def predict_script(parts: Sequence[str]) -> str:
    """``predict.py`` for a chain of files, each of which goes on where the one before ended."""
    return _templates().get_template("predict.py.j2").render(files=json.dumps([*parts]))
