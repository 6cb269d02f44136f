"""Two-Stage Distillation (paper A, 2026): stabilise the classifier, then distil the whole network.

Stage 1 trains the classifier alone (with a method's own parts, where it has some), the backbone
frozen with its batch norm; stage 2 trains everything with a new optimiser. Only the paper's
abstract is available: the split (a tenth of the epochs), the rates and the frozen batch norm are
reconstructions (LP-FT with a distillation loss).
"""

from stagewise.recipes.base import Phase


def phases(
    epochs: int, lr: float, *, stage1_share: float = 0.1, stage1_lr: float = 0.1
) -> list[Phase]:
    """Both stages together take ``epochs``; ``stage1_share`` of them, at least one, is stage 1."""
    first = min(max(1, round(stage1_share * epochs)), epochs - 1)
    return [
        Phase("stabilise", first, stage1_lr, trains=("classifier", "method")),
        Phase("distil", epochs - first, lr),
    ]
