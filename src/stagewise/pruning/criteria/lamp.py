"""LAMP: a channel's score over those of all channels of its group that are no weaker.

Lee et al. 2021 (arXiv 2010.07611), equation 1, for single weights; here, as in Torch-Pruning, for
the group L2 norm of coupled channels, which makes the scores of groups of any size comparable.
"""

from torch_pruning.pruner.importance import Importance, LAMPImportance


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return LAMPImportance()
