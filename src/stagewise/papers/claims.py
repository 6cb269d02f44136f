"""What the papers claim, as data: ``claims.yaml``, typed. How a claim is judged stands elsewhere.

A claim has contrasts. A contrast compares two arms (or sets one arm's level against a threshold) in
every pair of a study that has them.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

NAN = float("nan")
HEADLINE = "headline"
"""Role of a contrast that decides its claim."""


@dataclass(frozen=True)
class Side:
    """What a contrast takes of an arm. In ``arm``, ``{pair}`` stands for the pair.

    ``exit``: ``main`` (the ensemble where there are exits), ``ensemble``, ``last``, or a number.
    ``minus_exit``: where given, the gain over that exit of the same run is taken.
    """

    arm: str
    exit: str = "main"
    minus_exit: str = ""


@dataclass(frozen=True)
class Contrast:
    """A comparison that decides a claim (``role`` headline) or stands beside it (secondary).

    ``rule``: one of ``rules.py``. ``control``: None where the treatment's level is judged alone.
    ``measure``: test accuracy in percent, or a quantity of the gradient shock. ``threshold``: of
    the rule "above", else NaN. ``published``: smallest and largest effect in the paper, NaN where
    it gives none.
    """

    name: str
    role: str
    rule: str
    treatment: Side
    control: Side | None = None
    measure: str = "test_accuracy"
    unit: str = "points"
    threshold: float = NAN
    published: tuple[float, float] = (NAN, NAN)

    @property
    def decides(self) -> bool:
        """Whether the claim's verdict rests on it."""
        return self.role == HEADLINE


@dataclass(frozen=True)
class Claim:
    """A claim of a paper; a guard is none, it says what must not come out."""

    id: str
    paper: str
    title: str
    wording: str
    source: str
    contrasts: tuple[Contrast, ...]
    guard: bool = False


@dataclass(frozen=True)
class ClaimBook:
    """``margin``: points within which two arms count as equal. ``papers``: letter → title.

    ``claims``: those of the papers, then the guards.
    """

    margin: float
    papers: dict[str, str]
    claims: tuple[Claim, ...]


@cache
def load_claims() -> ClaimBook:
    """The packaged ``claims.yaml``; read it, change nothing."""
    text = files("stagewise.papers").joinpath("claims.yaml").read_text(encoding="utf-8")
    book: dict[str, Any] = yaml.safe_load(text)
    claims = [_claim(entry) for entry in book["claims"]]
    guards = [_claim(entry, guard=True) for entry in book["guards"]]
    return ClaimBook(book["margin"], book["papers"], (*claims, *guards))


def _claim(entry: dict[str, Any], guard: bool = False) -> Claim:
    contrasts = tuple(_contrast(contrast) for contrast in entry["contrasts"])
    return Claim(**{**entry, "contrasts": contrasts}, guard=guard)


def _contrast(entry: dict[str, Any]) -> Contrast:
    typed: dict[str, Any] = {
        side: Side(**entry[side]) for side in ("treatment", "control") if side in entry
    }
    typed |= {"published": tuple(entry["published"])} if "published" in entry else {}
    return Contrast(**{**entry, **typed})
