"""A pre-stage of the student's features: they learn one term of a method, then all of it the task.

AB's and FSP's, as the CRD benchmark has it: stem and stages, with the method's own parts, learn by
that term alone, at a constant rate; then a new optimiser trains the network by the run's weights.
The benchmark adds 30 epochs to its 240; here they are that share of the run's own, so that every
method has the same budget.
"""

from stagewise.errors import check_range
from stagewise.recipes._pre_stage import one_term_first
from stagewise.recipes.base import Phase


def phases(
    epochs: int, lr: float, *, term: str, weight: float = 1.0, share: float = 0.125
) -> list[Phase]:
    """Both stages together take ``epochs``; ``share`` of them, at least one, is the first.

    ``term``: the method's that the features learn first, with ``weight``.

    Raises:
        UserError: an option is out of range.
    """
    check_range("weight", weight, 1e-6, 1e6)
    check_range("share", share, 0, 1)
    trains = ("stem", "stages", "method")
    return one_term_first(epochs, lr, share, term=term, weight=weight, trains=trains)
