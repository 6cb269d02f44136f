"""Whose each method is, as data: ``methods.yaml``, typed."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from stagewise.errors import UserError
from stagewise.schemas import checked


@dataclass(frozen=True)
class Origin:
    """Where a method comes from, in a few words; empty where there is nothing to say.

    ``oracle``: what its loss is checked against. ``test``: where, ``file::function`` of
    ``tests/methods``. ``paper``: who and when. ``arxiv``: its number. ``weights``: whose the
    default ones are. ``differs``: where paper, code and this project disagree.
    """

    oracle: str
    test: str
    paper: str = ""
    arxiv: str = ""
    weights: str = ""
    differs: str = ""


@cache
def load_origins() -> dict[str, Origin]:
    """The packaged ``methods.yaml``, method by method.

    Raises:
        UserError: an entry does not fit the schema.
    """
    text = files("stagewise.papers").joinpath("methods.yaml").read_text(encoding="utf-8")
    content = checked(
        yaml.safe_load(text),
        "papers/methods.schema.yaml",
        "methods.yaml: an entry is wrong",
        "correct it",
    )
    return {name: Origin(**entry) for name, entry in content.items()}


def origin(name: str) -> Origin:
    """A method's.

    Raises:
        UserError: it has none.
    """
    known = load_origins()
    if name not in known:
        raise UserError(
            f"papers/methods.yaml: '{name}' is missing; add what it was checked against"
        )
    return known[name]
