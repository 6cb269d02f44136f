"""Group L2 norm: a channel weighs what all coupled layers have of it (Fang et al. 2023)."""

from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return GroupMagnitudeImportance(p=2)
