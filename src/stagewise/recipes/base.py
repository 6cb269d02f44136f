"""What a phase is, and how a spec's recipe becomes a list of phases."""

import importlib
from dataclasses import dataclass
from typing import Any

from stagewise import catalogue


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one optimiser and one schedule.

    ``trains`` names the parts that move (see ``Network.parts``); None is all of them. Parts that do
    not move are in evaluation mode: their batch-norm statistics stand still too. With
    ``reestimate_batch_norm`` nothing moves but batch-norm statistics, averaged over the phase.
    """

    name: str
    epochs: int
    lr: float
    trains: tuple[str, ...] | None = None
    reestimate_batch_norm: bool = False


def make_phases(entry: dict[str, Any], *, epochs: int, lr: float) -> list[Phase]:
    """The phases of a spec's recipe ``{"recipe": file name, option: value, …}``.

    ``epochs`` is the run's whole budget, ``lr`` the (peak) rate of its main phase.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.recipes()[entry["recipe"]]))
    options = {key: value for key, value in entry.items() if key != "recipe"}
    phases: list[Phase] = module.phases(epochs, lr, **options)
    return phases
