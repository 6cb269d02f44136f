"""Random scores: the control that any criterion must beat."""

from torch_pruning.pruner.importance import Importance, RandomImportance


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return RandomImportance()
