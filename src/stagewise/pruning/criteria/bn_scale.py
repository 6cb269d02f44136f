"""Network slimming: a channel weighs its batch norms' |γ| (Liu et al. 2017, arXiv 1708.06519).

Averaged over the coupled layers and divided by the group's mean. The paper first trains with an L1
penalty on γ; here the student is pruned as it is.
"""

from torch_pruning.pruner.importance import BNScaleImportance, Importance


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return BNScaleImportance()
