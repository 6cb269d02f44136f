"""The block ``pairs``: who teaches whom."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MaxLen

from stagewise.study.config.blocks import Block, Open, Overrides, Text, optional, optional_mapping


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Open):
    """A network of the zoo; further keys are options of its `build` function, such as `width`."""

    network: Text
    """Its name, as in docs/zoo.md."""


@dataclass(frozen=True, kw_only=True)
class Assistant(NetworkEntry):
    """A network between teacher and student: taught by the one above it with KD, once, on the
    teachers' images."""

    training: Overrides = optional_mapping()
    """Where its training differs from the teachers'."""


@dataclass(frozen=True, kw_only=True)
class Pair(Block):
    """A teacher, its student, and maybe assistants between them."""

    teacher: NetworkEntry
    """The network that teaches."""
    student: NetworkEntry
    """The network that learns."""
    assistants: Annotated[tuple[Assistant, ...], MaxLen(8)] = optional(())
    """From the teacher down; methods with `teacher: assistant` learn from the last."""
    wide: NetworkEntry | None = optional()
    """The student with a larger `width`, so that it takes as many multiply-adds as the student with
    exits, for `multi_exit.controls`; `scripts/widths.py` finds the width."""
