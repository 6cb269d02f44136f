"""What a phase is, and how a spec's recipe becomes a list of phases."""

import importlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar

from torch import Tensor, nn

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.models.features import Network, Paths

MAY_BE_EMPTY = ("exits", "method")
"""Groups of parts that a network or a method may lack."""

ONE_EXIT: Paths = (("network",),)
"""``Network.paths`` of any network with one exit."""

Hook = Callable[[], None]
"""What is done between a step's backward pass and its update."""

BATCH_NORM_MOMENTUM = 0.1
"""Torch's default: a batch's share in the running statistics."""


def matched(name: str, parts: Iterable[str]) -> list[str]:
    """Of ``parts``, the one of this name, or those of this group."""
    if name == "network":
        return [part for part in parts if not part.startswith("method.")]
    if name == "stages":
        return [part for part in parts if re.fullmatch(r"stage\d+", part)]
    return [part for part in parts if part == name or part.startswith(f"{name}.")]


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one optimiser and one schedule.

    ``trains`` names the parts that move; None is all of them. A part is one of the network
    (``stem``, ``stage1`` …, ``classifier``), an exit (``exits.1``) or one of the method
    (``method.regressor``); ``exits`` and ``method`` are all of these, ``stages`` all stages,
    ``network`` is all but the method's. A mapping gives each a factor of the rate. Parts that do
    not move are in evaluation mode, so their batch-norm statistics stand still too; with
    ``freeze_batch_norm`` all do.

    ``weights`` of loss terms and the ``schedule`` are the run's where they are None; a term that
    ``weights`` does not name has none. ``schedule_start`` and ``schedule_epochs``: where the phase
    lies in a schedule that goes on over several, in epochs; None is the phase alone.

    ``exits``: heads of the exits that run, and so are in the losses; None is all up to the deepest
    that moves.
    """

    name: str
    epochs: int
    lr: float
    trains: Collection[str] | Mapping[str, float] | None = None
    weights: Mapping[str, float] | None = None
    schedule: str | None = None
    freeze_batch_norm: bool = False
    exits: tuple[str, ...] | None = None
    schedule_start: int = 0
    schedule_epochs: int | None = None

    updates: ClassVar[bool] = True
    """Whether weights move."""

    @property
    def turns(self) -> tuple["Phase", ...]:
        """The updates that are made of each batch, one after the other: what each trains, and by
        which exits. Here, one."""
        return (self,)

    def factors(self, parts: Iterable[str]) -> dict[str, float]:
        """Of ``parts``, those that move, each with the factor of its rate.

        Raises:
            UserError: ``trains`` names a part that is not there.
        """
        parts = list(parts)
        if self.trains is None:
            return dict.fromkeys(parts, 1.0)
        found: dict[str, float] = {}
        for name, factor in self._named().items():
            matching = matched(name, parts)
            if not matching and name not in MAY_BE_EMPTY:
                raise UserError(
                    f"phase '{self.name}' trains '{name}', which neither network nor method has;"
                    f" they have {', '.join(parts)}"
                )
            found |= dict.fromkeys(matching, factor)
        return found

    def moves(self, parts: Iterable[str]) -> bool:
        """Whether any of these parts moves; unlike ``factors``, it need not know the others."""
        parts = list(parts)
        found = dict.fromkeys(parts, 1.0) if self.trains is None else {}
        for name, factor in self._named().items():
            found |= dict.fromkeys(matched(name, parts), factor)
        return any(found.values())

    def _named(self) -> Mapping[str, float]:
        """``trains`` with the factors of its names; empty where all moves."""
        given = self.trains or ()
        return given if isinstance(given, Mapping) else dict.fromkeys(given, 1.0)

    def in_training_mode(self, part: str, moving: Collection[str]) -> bool:
        """Whether a part is in training mode."""
        return part in moving

    def prepare(self, norms: Iterable[nn.BatchNorm2d]) -> None:
        """Once, at the phase's start."""

    def before_update(self, network: Network, images: Tensor) -> Hook | None:
        """What is done to the gradients of each step before they move anything: on the device, and
        without reading from it. ``images`` are two of the run's, to see by what the network does.
        """
        return None

    def set_batch_norm(self, norms: Iterable[nn.BatchNorm2d]) -> None:
        """How batch norm follows the batches; called whenever modes are set."""
        for norm in norms:
            norm.momentum = BATCH_NORM_MOMENTUM
            if self.freeze_batch_norm:
                norm.eval()


class BatchNormPhase(Phase):
    """Nothing moves but the network's batch-norm statistics, averaged over the phase."""

    updates = False

    def factors(self, parts: Iterable[str]) -> dict[str, float]:
        """None."""
        return {}

    def moves(self, parts: Iterable[str]) -> bool:
        """None does."""
        return False

    def in_training_mode(self, part: str, moving: Collection[str]) -> bool:
        """Every part is: that is when batch norm counts."""
        return True

    def prepare(self, norms: Iterable[nn.BatchNorm2d]) -> None:
        """Forget the statistics."""
        for norm in norms:
            norm.reset_running_stats()

    def set_batch_norm(self, norms: Iterable[nn.BatchNorm2d]) -> None:
        """Every batch weighs the same."""
        for norm in norms:
            norm.momentum = None


@dataclass(frozen=True)
class ExitByExitPhase(Phase):
    """Every batch is shown once for each exit: its loss moves what leads to it, before the next,
    deeper one answers with the weights that this left. One optimiser serves all; what has no
    gradient keeps its velocity."""

    paths: Paths = ()

    @property
    def turns(self) -> tuple[Phase, ...]:
        """One for each exit, shallow to deep."""
        return tuple(
            Phase(self.name, self.epochs, self.lr, trains=(*path, "method"), exits=path[-1:])
            for path in self.paths
        )


def check_turns(phases: Iterable[Phase], compares_exits: bool) -> None:
    """That a method which compares exits sees more than one at a time.

    Raises:
        UserError: a phase shows it one by one.
    """
    for phase in phases:
        if compares_exits and len(phase.turns) > 1:
            raise UserError(
                f"phase '{phase.name}' trains one exit at a time, but the method lets exits learn"
                " from a deeper one, which must run beside them; choose another recipe"
            )


def make_phases(
    entry: dict[str, Any], *, epochs: int, lr: float, paths: Paths = ONE_EXIT
) -> list[Phase]:
    """The phases of a spec's recipe ``{"recipe": file name, option: value, …}``.

    ``epochs`` is the run's whole budget, ``lr`` the (peak) rate of its main phase, ``paths`` are
    the network's, for recipes whose function asks for them.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.recipes()[entry["recipe"]]))
    options = {key: value for key, value in entry.items() if key != "recipe"}
    if "paths" in signature(module.phases).parameters:
        options["paths"] = paths
    phases: list[Phase] = module.phases(epochs, lr, **options)
    return phases
