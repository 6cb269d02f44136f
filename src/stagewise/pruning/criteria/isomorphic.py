"""Isomorphic pruning: groups are ranked only with those whose layers are coupled alike.

Fang et al. 2024 (arXiv 2407.04616): scores of sub-structures that differ as graphs are not
comparable, so each kind loses the same share of its channels. By the group L2 norm, so that it
differs from ``l2`` in the ranking alone.
"""

from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

ISOMORPHIC = True


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest of each kind of group go first."""
    return GroupMagnitudeImportance(p=2)
