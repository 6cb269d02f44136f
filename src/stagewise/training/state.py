"""What a training state holds, and what one must be before anything of it is believed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Network
from stagewise.recipes.base import Phase
from stagewise.training.observer import Observer

MEASURED = ("train_loss", "train_accuracy", "validation_accuracy", "validation_loss")
"""Numbers of a history row beside the loss terms; validation has none where it was not due."""


@dataclass
class Position:
    """Where training stands: epochs done in the current phase and in the whole run."""

    phase: int = 0
    epoch_in_phase: int = 0
    epoch: int = 0


def state_tensors(
    network: Network,
    method: DistillationMethod,
    velocity: Sequence[Tensor],
    observers: Mapping[str, Observer],
) -> dict[str, Tensor]:
    """Everything that a run goes on from, by name: weights, velocities, generator, observers."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in method.state_dict().items()}
    tensors |= {f"velocity.{i}": v for i, v in enumerate(velocity)}
    tensors["rng"] = torch.get_rng_state()
    for name, observer in observers.items():
        tensors |= {f"{name}.{k}": v for k, v in observer.state().items()}
    return tensors


def check_tensors(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """The same names, shapes and types, and a generator's state that torch takes.

    Raises:
        ValueError: another network's, or incomplete.
    """
    if different := sorted(found.keys() ^ wanted.keys()):
        raise ValueError(f"'{different[0]:.60}' is missing, or too many")
    for name, tensor in wanted.items():
        if found[name].shape != tensor.shape or found[name].dtype != tensor.dtype:
            raise ValueError(f"'{name}' is {found[name].dtype} {tuple(found[name].shape)}")
    try:
        torch.Generator().set_state(found["rng"])
    except RuntimeError:
        raise ValueError("'rng' is no generator's state") from None


def check_position(
    stated: Mapping[str, Any],
    phases: Sequence[Phase],
    terms: Collection[str],
    observers: Collection[str],
) -> Position:
    """Where a state says that training stands, after all else that it says was checked.

    ``terms``: the names of the losses. ``phases``: all of at least one epoch.

    Raises:
        ValueError: it is none of this run.
    """
    if stated.keys() != {"at", "history", "observers", "spent"}:
        raise ValueError("its position lacks a key, or has one too many")
    at = stated["at"]
    if not isinstance(at, dict) or at.keys() != vars(Position()).keys():
        raise ValueError("it names no epoch")
    if not all(type(value) is int for value in at.values()) or not 0 <= at["phase"] < len(phases):
        raise ValueError("it names a phase that there is not")
    position = Position(**at)
    before = sum(phase.epochs for phase in phases[: position.phase])
    within = 1 <= position.epoch_in_phase <= phases[position.phase].epochs
    if not within or position.epoch != before + position.epoch_in_phase:
        raise ValueError("it names an epoch that there is not")
    _check_history(stated["history"], phases, position, terms)
    logs = stated["observers"]
    if not isinstance(logs, dict) or logs.keys() != {*observers}:
        raise ValueError("its observers are others")
    if not all(isinstance(rows, list) and all(map(_is_row, rows)) for rows in logs.values()):
        raise ValueError("an observer's table is none")
    spent = stated["spent"]
    if not isinstance(spent, dict) or spent.keys() != {"seconds", "cpu"}:
        raise ValueError("it does not say what it took")
    if not isinstance(spent["cpu"], dict):
        raise ValueError("its CPU seconds are by no activity")
    if not all(map(_is_number, (spent["seconds"], *spent["cpu"].values()))):
        raise ValueError("the seconds that it took are no numbers")
    return position


def _check_history(
    history: Any, phases: Sequence[Phase], position: Position, terms: Collection[str]
) -> None:
    """A row of the right columns for each epoch."""
    names = [phase.name for phase in phases for _ in range(phase.epochs)][: position.epoch]
    if not isinstance(history, list) or len(history) != len(names):
        raise ValueError("its history is of other epochs")
    columns = {"epoch", "phase", "lr", *MEASURED, *terms}
    for number, (row, name) in enumerate(zip(history, names, strict=True), 1):
        told = _is_row(row) and row.keys() == columns
        if not told or (row["epoch"], row["phase"]) != (number, name):
            raise ValueError(f"its history's row {number} is none of this run")
        given = [row[column] for column in ("lr", "train_loss", "train_accuracy", *terms)]
        if not all(map(_is_number, given)) or isinstance(row["validation_accuracy"], str):
            raise ValueError(f"its history's row {number} has words for numbers")


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(
        value is None or isinstance(value, str) or _is_number(value) for value in row.values()
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
