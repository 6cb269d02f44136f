"""Staged distillation, multi-exit students, pruning and recovery, with the evidence."""

import importlib
from collections.abc import Callable
from pathlib import Path

from stagewise.process.machine import NUMPY_NEEDS, short_of_addresses

# Here, because every program imports this first, and NumPy would not say it.
if said := short_of_addresses(NUMPY_NEEDS):
    raise SystemExit(f"error: {said}")


def load(run: Path | str) -> Callable[..., list[dict[str, float]]]:
    """The network in a run's folder, as a function: pictures → what each shows, class →
    probability, the largest first (see ``ship.classifier``).

    Raises:
        UserError: the run is not whole.
    """
    # No import statement, which the code fingerprint of every run would follow.
    found: Callable[..., list[dict[str, float]]]
    found = importlib.import_module("stagewise.ship.classifier").load(run)
    return found
