"""Two-Stage Distillation (paper A, 2026): stabilise the classifier, then distil the whole network.

Stage 1 trains the classifier alone (with a method's own parts, where it has some), the backbone
frozen with its batch norm; stage 2 trains everything with a new optimiser. Only the paper's
abstract is available: the split (a tenth of the epochs), the rates and the frozen batch norm are
reconstructions (LP-FT with a distillation loss).
"""

from stagewise.errors import check_range
from stagewise.recipes.base import BatchNormPhase, Phase


def phases(
    epochs: int,
    lr: float,
    *,
    stage1_share: float = 0.1,
    stage1_lr: float = 0.1,
    estimate_first: int = 0,
    stage1_labels: bool = False,
) -> list[Phase]:
    """Both stages together take ``epochs``; ``stage1_share`` of them, at least one, is stage 1.

    ``estimate_first``: epochs before them, beyond their budget, that estimate batch norm on
    training images while no weight moves: a network that has seen no image would else stand frozen
    in stage 1 on statistics of nothing. They shift the stages' data order by as many epochs.
    ``stage1_labels``: the classifier learns from labels alone, where the method has other terms.

    Raises:
        UserError: an option is out of range.
    """
    check_range("estimate_first", estimate_first, 0, 100)
    first = min(max(1, round(stage1_share * epochs)), epochs - 1)
    weights = {"ce": 1.0} if stage1_labels else None
    stages = [
        Phase("stabilise", first, stage1_lr, trains=("classifier", "method"), weights=weights),
        Phase("distil", epochs - first, lr),
    ]
    return [BatchNormPhase("estimate", estimate_first, lr), *stages] if estimate_first else stages
