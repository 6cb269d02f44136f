"""Who may watch a run: what the trainer tells, and what it keeps for it."""

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
    """What an observer looks at: a run's parts; ``weights`` are those of its loss terms.

    ``remembers``: whether the method knows training images by their number.
    """

    network: Network
    method: DistillationMethod
    weights: dict[str, float]
    teacher: Network | None
    data: TaskData
    remembers: bool = False


@dataclass(frozen=True)
class Moment:
    """Before a step: ``step`` of the phase, of ``steps``, of which an epoch has ``per_epoch``;
    ``lr``: the rate of the step."""

    phase: Phase
    step: int
    steps: int
    per_epoch: int
    lr: float


class Observer(Protocol):
    """Looks, and changes nothing but the networks' modes, which the trainer sets again.

    ``rows`` is its table, which the run leaves as ``<name>.csv``: JSON values, which a checkpoint
    keeps.
    """

    rows: list[Row]

    def before_step(self, moment: Moment) -> None:
        """Called before every step."""
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
