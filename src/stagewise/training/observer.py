"""Who may watch a run: what the trainer tells, and what it keeps for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from stagewise.data.batches import TaskData
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Network
from stagewise.recipes.base import Phase

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """What an observer looks at: a run's parts; ``weights`` are those of its loss terms, ``phases``
    come one after the other, with ``steps_per_epoch`` each epoch.

    ``remembers``: whether the method knows training images by their number.
    """

    network: Network
    method: DistillationMethod
    weights: Mapping[str, float]
    teacher: Network | None
    data: TaskData
    phases: Sequence[Phase]
    steps_per_epoch: int
    seed: int
    remembers: bool = False


@dataclass(frozen=True)
class Moment:
    """A step: the run's step number ``step``, counted from 0 over all phases, of the ``phase``, at
    the rate ``lr``."""

    phase: Phase
    step: int
    lr: float


class Observer(Protocol):
    """Looks, and changes nothing but the networks' modes, which the trainer sets again.

    ``rows`` is its table, which the run leaves as ``<name>.csv``: JSON values, which a checkpoint
    keeps. Checkpoints lie between epochs, so what is held from before a step until after it needs
    no place in them.
    """

    rows: list[Row]

    def before_step(self, moment: Moment) -> None:
        """Called before every step."""
        ...

    def after_step(self, moment: Moment) -> None:
        """Called after every step, with what ``before_step`` got: weights have moved."""
        ...

    def after_phase(self, phase: Phase, *, last: bool) -> None:
        """Called at a phase's end."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps."""
        ...

    def restore(self, tensors: dict[str, Tensor], rows: list[Row]) -> None:
        """Take up an earlier process's observation."""
        ...
