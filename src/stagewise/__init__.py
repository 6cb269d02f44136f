"""Staged distillation, multi-exit students, pruning and recovery, with the evidence."""

from stagewise.process.machine import NUMPY_NEEDS, short_of_addresses

# Here, because every program imports this first, and NumPy would not say it.
if said := short_of_addresses(NUMPY_NEEDS):
    raise SystemExit(f"error: {said}")
