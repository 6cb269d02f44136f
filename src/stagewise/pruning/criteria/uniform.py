"""Uniform thinning: every layer loses the same share of its channels, the weakest by L2 norm.

The control for what a criterion that ranks all layers together finds out about shapes: Liu et al.
2019 (arXiv 1810.05270) train such a shape from new weights too, here ``scratch_kd``.
"""

from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

UNIFORM = True


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest of each group go first."""
    return GroupMagnitudeImportance(p=2)
