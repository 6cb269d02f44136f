"""JSON Schema for data that were written elsewhere: what does not fit is said in one line."""

from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import yaml
from jsonschema.protocols import Validator

from stagewise.errors import UserError

LONGEST = 200
"""Characters that a message quotes."""


@cache
def _validator(schema: str) -> Validator:
    text = files("stagewise").joinpath(schema).read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(yaml.safe_load(text))


def checked(content: Any, schema: str, problem: str, mend: str) -> Any:
    """``content`` where it fits ``schema``, a file of this package.

    Raises:
        UserError: it does not; ``problem`` and ``mend`` stand before and after what is wrong.
    """
    error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(content))
    if error:
        key = ".".join(map(str, error.absolute_path)) or "(top level)"
        raise UserError(f"{problem} ({key}: {error.message[:LONGEST]}); {mend}")
    return content
