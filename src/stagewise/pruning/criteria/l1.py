"""Group L1 norm: a channel weighs the sum of |w| that all coupled layers have of it.

Li et al. 2017 (arXiv 1608.08710) rank the filters of one layer by it; the group form, each layer's
sum averaged over the coupled layers and divided by the group's mean, is that of Fang et al. 2023.
"""

from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return GroupMagnitudeImportance(p=1)
