"""Group sparse learning: the group L2 norm after a training that makes weak channels weaker.

Fang et al. 2023 (arXiv 2301.12900), section 3.3: their strongest pruner. Students are first trained
by the recipe ``group_sl``; what goes then is what the group norm, divided by the group's largest as
in the authors' code, finds weakest.
"""

from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

RECIPE = "group_sl"


def importance() -> Importance:
    """Scores groups of coupled channels; the lowest go first."""
    return GroupMagnitudeImportance(p=2, normalizer="max")
