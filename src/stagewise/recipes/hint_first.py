"""FitNets' two stages: the lower part of the student learns the hint, then all of it the task.

Romero et al. 2015 (arXiv 1412.6550), algorithm 1. The first stage trains the parts up to the hint's
depth and the method's ``regressor``, by the term ``hint`` alone and at a constant rate; the second
trains the network by the run's weights. The default share is that of the CRD benchmark's
pre-stages, 30 epochs for 240.
"""

from stagewise.errors import check_range
from stagewise.recipes._pre_stage import one_term_first
from stagewise.recipes.base import Phase

HINT_WEIGHT = 100.0
"""As in the one-stage form, so that a rate means the same."""


def phases(epochs: int, lr: float, *, hint: int = 2, hint_share: float = 0.125) -> list[Phase]:
    """Both stages together take ``epochs``; ``hint_share`` of them, at least one, is the first.

    ``hint``: the depth of the method's hint: 0 is the stem, k the k-th stage.

    Raises:
        UserError: an option is out of range.
    """
    check_range("hint", hint, 0, 100)
    check_range("hint_share", hint_share, 0, 1)
    guided = ("stem", *(f"stage{number}" for number in range(1, hint + 1)), "method.regressor")
    return one_term_first(epochs, lr, hint_share, term="hint", weight=HINT_WEIGHT, trains=guided)
