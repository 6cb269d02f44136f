"""The block ``target``: what a network that ships must reach, and what is tried for it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from stagewise.study.config.blocks import MOST, Block, Seed, Text, Unique, optional
from stagewise.study.config.compression import Pruning, Recovered
from stagewise.study.config.results import Batch
from stagewise.study.goals import QUANTITIES
from stagewise.study.spec import Rate


class Times:
    """A factor like ``2x``."""

    PATTERN = r"[1-9][0-9]{0,5}(\.[0-9]{1,5})?x"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^{self.PATTERN}$", "examples": ["2x"]}

    def _read(self, value: str) -> str:
        if not re.fullmatch(self.PATTERN, value):
            raise PydanticCustomError("times", "neither a factor, like 2x, nor a number")
        return value


Goal = Annotated[str, Times()] | Annotated[float, Gt(0), Le(10**15)]
"""``2x``, so many times less than the reference, or a number that must not be exceeded."""
Form = Literal["float32", "int8"]
CRITERION = "uniform"
"""How candidates are pruned: every layer loses the same share of its channels, so that a ratio is a
shape, whose speed is known before any weight is, and which all seeds have in common."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Block):
    """A network that may ship."""

    pair: Text
    """Whose student; with `student`, the network's name."""
    form: Form
    """Of its file: `float32`, or `int8`, quantised after training."""
    ratio: Annotated[float, Ge(1), Le(64)]
    """So many times fewer multiply-adds; 1 is the whole student."""


@dataclass(frozen=True, kw_only=True)
class Target(Block):
    """How much faster or smaller a network must be, and how much worse it may be. Each goal is a
    factor, like `2x`, by which the reference is to be undercut, or a number not to be exceeded."""

    latency: Goal | None = optional()
    """Of a call, alone on this machine by ONNX Runtime; a number is in milliseconds."""
    macs: Goal | None = optional()
    """Multiply-adds of an image."""
    parameters: Goal | None = optional()
    """Weights."""
    bytes: Goal | None = optional()
    """Of the file."""
    batch: Batch = 1
    """Images of a call whose latency counts."""
    threads: Annotated[int, Ge(1), Le(64)] = 1
    """CPU threads of such a call."""
    loss: Annotated[float, Gt(0), Le(100)] = 1.0
    """Points of test accuracy that it may be worse than the reference."""
    against: Literal["student", "teacher"] = "student"
    """The reference: the (first) student, whole, and distilled for as long, or the teacher; in
    float32."""
    forms: Annotated[tuple[Form, ...], MinLen(1), Unique()] = ("float32", "int8")
    """What is tried of each student: files in 32 bits, in 8 bits, or both."""
    round_to: Annotated[int, Ge(1), Le(1024)] = 8
    """Layers of pruned candidates keep channels in multiples of this."""
    recover: Annotated[tuple[Recovered, ...], MinLen(1), Unique()] = ("kd",)
    """What recovers them, each tried, as in `pruning`. KD is what the kept evidence trusts."""
    rates: Annotated[tuple[Rate, ...], MaxLen(MOST), Unique()] = (0.02, 0.05, 0.1)
    """Learning rates that every arm is tried at first, on validation; none keeps the config's."""
    tuning_seeds: Annotated[tuple[Seed, ...], MinLen(1), MaxLen(MOST), Unique()] = (100, 101, 102)
    """Seeds of these trials."""
    licence: Text = optional("")
    """Of the weights, for the model card."""
    candidates: Annotated[tuple[Candidate, ...], MaxLen(MOST), Unique()] = optional(())
    """What is trained and compared; `scripts/ship.py` searches for it on the clock."""

    @property
    def goals(self) -> dict[str, str | float]:
        """Quantity → goal, of those that are asked for."""
        asked = {name: getattr(self, name) for name in QUANTITIES}
        return {name: goal for name, goal in asked.items() if goal is not None}

    def prunings(self, first: str) -> Iterator[Pruning]:
        """The candidates as blocks of pruning, one a pair; without ratios where none is pruned. The
        ``first`` pair has the reference, where that is a student."""
        reference = [first] if self.candidates and self.against == "student" else []
        for pair in dict.fromkeys([*reference, *(each.pair for each in self.candidates)]):
            ratios = {each.ratio for each in self.candidates if each.pair == pair}
            yield self.pruning(pair, tuple(sorted(ratio for ratio in ratios if ratio > 1)))

    def pruning(self, pair: str, ratios: tuple[float, ...]) -> Pruning:
        """How candidates of a pair are pruned."""
        return Pruning(
            pair=pair,
            criterion=CRITERION,
            ratios=ratios,
            recover=self.recover,
            round_to=self.round_to,
        )

    def whole(self, pair: str) -> str:
        """The arm of a pair's whole student."""
        return f"recovery/{pair}.baseline.dense.kd"

    def arms(self, candidate: Candidate) -> list[str]:
        """The arms of a candidate, one a recovery; a whole student learns on by KD."""
        if candidate.ratio == 1:
            return [self.whole(candidate.pair)]
        stem = f"recovery/{candidate.pair}.baseline"
        shape = f"{self.pruning(candidate.pair, ()).shape}-{candidate.ratio:g}x"
        return [f"{stem}.{shape}.{recovery}" for recovery in self.recover]
