"""What a phase is, and how a spec's recipe becomes a list of phases."""

import importlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from stagewise import catalogue
from stagewise.errors import UserError

MAY_BE_EMPTY = ("exits", "method")
"""Groups of parts that a network or a method may lack."""

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
    ``weights`` does not name has none.
    """

    name: str
    epochs: int
    lr: float
    trains: Collection[str] | Mapping[str, float] | None = None
    weights: Mapping[str, float] | None = None
    schedule: str | None = None
    freeze_batch_norm: bool = False

    updates: ClassVar[bool] = True
    """Whether weights move."""

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


def make_phases(entry: dict[str, Any], *, epochs: int, lr: float) -> list[Phase]:
    """The phases of a spec's recipe ``{"recipe": file name, option: value, …}``.

    ``epochs`` is the run's whole budget, ``lr`` the (peak) rate of its main phase.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.recipes()[entry["recipe"]]))
    options = {key: value for key, value in entry.items() if key != "recipe"}
    phases: list[Phase] = module.phases(epochs, lr, **options)
    return phases
