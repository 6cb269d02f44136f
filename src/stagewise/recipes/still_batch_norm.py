"""Batch norm stands still at first: whether its drifting statistics are what shakes new students.

Everything moves from the first step, by one schedule; but for a first share of the epochs, as many
as two stages give the classifier, batch norm keeps the statistics that came with the features. The
second phase has a new optimiser, as the second stage of two stages has.
"""

from stagewise.errors import check_range
from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float, *, share: float = 0.1) -> list[Phase]:
    """Both phases together take ``epochs``; ``share`` of them, at least one, is the first.

    Raises:
        UserError: an option is out of range.
    """
    check_range("share", share, 0, 1)
    first = min(max(1, round(share * epochs)), epochs - 1)
    return [
        Phase("still", first, lr, freeze_batch_norm=True, schedule_epochs=epochs),
        Phase("train", epochs - first, lr, schedule_start=first, schedule_epochs=epochs),
    ]
