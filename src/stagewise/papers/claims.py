"""What the papers claim, as data: ``claims.yaml``, typed. How a claim is judged stands elsewhere.

A claim has contrasts. A contrast compares two arms (or sets one arm's level against a threshold) in
every pair of a study that has them, and, where its arms name a rate, at every rate that the study
gives all its arms.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from stagewise.catalogue import OR

NAN = float("nan")
OWN = "own"
"""The "paper" of the claims that a study's own config makes."""
HEADLINE = "headline"
"""Role of a contrast that decides its claim."""


@dataclass(frozen=True)
class Unit:
    """``text``: what stands behind a number. ``log``: whether values are ratios, which are analysed
    as logarithms: their means are geometric, and two arms are compared by one over the other."""

    text: str
    log: bool = False


UNITS = {"points": Unit(" points"), "ratio": Unit("×", log=True), "relative": Unit("")}


@dataclass(frozen=True)
class Side:
    """What a contrast takes of an arm. In ``arm``, ``{pair}`` stands for the pair, ``{rate}`` for a
    common learning rate. It may name several, with `` | `` between them: then the one of those in
    the study is taken that is best on validation images, in the mean over its seeds.

    ``exit``: ``main`` (the ensemble where there are exits), ``ensemble``, ``last``, or a number.
    ``minus_exit``: where given, the gain over that exit of the same run is taken.
    """

    arm: str
    exit: str = "main"
    minus_exit: str = ""

    def arms(self, pair: str) -> list[str]:
        """Those that it names, in a pair."""
        return [arm.format(pair=pair) for arm in self.arm.split(OR)]

    def at_rate(self, rate: float) -> "Side":
        """It with a rate in its arm."""
        return replace(self, arm=self.arm.replace("{rate}", f"{rate:g}"))


@dataclass(frozen=True)
class Contrast:
    """A comparison that decides a claim (``role`` headline) or stands beside it (secondary).

    ``rule``: one of ``rules.py``. ``control``: None where the treatment's level is judged alone.
    ``measure``: test accuracy in percent, or a quantity of the gradient shock. ``unit``: a key of
    ``UNITS``. ``threshold``: of the rule "above", else NaN. ``published``: smallest and largest
    effect in the paper, NaN where it gives none. ``given``: claim and contrast that must show the
    harm, at the same pair and rate, before its removal can be judged; empty where none must.
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
    given: tuple[str, ...] = ()

    @property
    def sides(self) -> list[Side]:
        """Treatment, and control where there is one."""
        return [side for side in (self.treatment, self.control) if side]

    @property
    def log(self) -> bool:
        """Whether it is analysed on the log scale."""
        return UNITS[self.unit].log

    @property
    def rated(self) -> bool:
        """Whether its arms are those at a common rate."""
        return any("{rate}" in side.arm for side in self.sides)

    def at_rates(self, rates: Iterable[float]) -> "Iterator[tuple[Contrast, float]]":
        """It at each rate, with that rate; itself and NaN where it is about no common rate."""
        if not self.rated:
            yield self, NAN
            return
        for rate in rates:
            given = (self.given[0], at_rate(self.given[1], rate)) if self.given else ()
            at = replace(
                self,
                name=at_rate(self.name, rate),
                treatment=self.treatment.at_rate(rate),
                control=self.control.at_rate(rate) if self.control else None,
                given=given,
            )
            yield at, rate

    @property
    def decides(self) -> bool:
        """Whether the claim's verdict rests on it."""
        return self.role == HEADLINE


def at_rate(name: str, rate: float) -> str:
    """A contrast's name at a common rate."""
    return f"{name} at rate {rate:g}"


@dataclass(frozen=True)
class Reservation:
    """What is said of a claim that holds where the claim ``unless`` does not: that the gain is not
    shown to be the doing of ``own``, as ``alone`` has it too, by the secondary ``contrast``; and
    whose ``doing`` it is where ``unless`` is refuted."""

    unless: str
    contrast: str
    own: str
    alone: str
    doing: str = "KD's"


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, or of a study's own; a guard is none.

    ``holds``, ``fails``: what was found, as a clause. ``open``: the question, as a clause.
    ``chapter``: of the report, where a study's own claim names one. ``within_arms``: a quantity of
    the gradient shock; beside the answer stands whether it goes with accuracy within arms.
    """

    id: str
    paper: str
    title: str
    wording: str
    source: str
    holds: str
    fails: str
    open: str
    contrasts: tuple[Contrast, ...]
    guard: bool = False
    but: Reservation | None = None
    chapter: str = ""
    within_arms: str = ""


@dataclass(frozen=True)
class ClaimBook:
    """``margin``: points within which two arms count as equal. ``papers``: letter → title.

    ``claims``: those of the papers, then the guards. ``split``: a claim of older studies → those
    that it became.
    """

    margin: float
    papers: dict[str, str]
    claims: tuple[Claim, ...]
    split: dict[str, list[str]]

    def named(self, name: str) -> Claim:
        """The claim of this id; of one that was split, the first part, which is the paper's own."""
        [first, *_] = self.split.get(name, [name])
        return next(claim for claim in self.claims if claim.id == first)

    def ids(self, name: str) -> set[str]:
        """A claim's id, and that of the claim which it was a part of in older studies."""
        return {name, *(old for old, parts in self.split.items() if name in parts)}

    def listed(self, names: Iterable[str]) -> set[str]:
        """The claims that a config's list names, split ones by all of their parts."""
        return {part for name in names for part in self.split.get(name, [name])}


@cache
def load_claims() -> ClaimBook:
    """The packaged ``claims.yaml``; read it, change nothing."""
    text = files("stagewise.papers").joinpath("claims.yaml").read_text(encoding="utf-8")
    book: dict[str, Any] = yaml.safe_load(text)
    claims = [_claim(entry) for entry in book["claims"]]
    guards = [_claim(entry, guard=True) for entry in book["guards"]]
    return ClaimBook(book["margin"], book["papers"], (*claims, *guards), book["split"])


def claims_of(config: Mapping[str, Any]) -> ClaimBook:
    """The packaged claims with those of a study's config, which come before the guards."""
    book = load_claims()
    given = config.get("claims", ())
    if not given:
        return book
    own = tuple(_claim({"paper": OWN, "source": "this study's config", **entry}) for entry in given)
    papers = [claim for claim in book.claims if not claim.guard]
    guards = [claim for claim in book.claims if claim.guard]
    return replace(
        book,
        papers={**book.papers, OWN: "Claims of this study's own"},
        claims=(*papers, *own, *guards),
    )


def _claim(entry: dict[str, Any], guard: bool = False) -> Claim:
    contrasts = tuple(_contrast(contrast) for contrast in entry["contrasts"])
    typed = {"but": Reservation(**entry["but"])} if "but" in entry else {}
    return Claim(**{**entry, **typed, "contrasts": contrasts}, guard=guard)


def _contrast(entry: dict[str, Any]) -> Contrast:
    typed: dict[str, Any] = {
        side: Side(**entry[side]) for side in ("treatment", "control") if side in entry
    }
    typed |= {key: tuple(entry[key]) for key in ("published", "given") if key in entry}
    return Contrast(**{**entry, **typed})
