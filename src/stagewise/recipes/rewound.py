"""Learning-rate rewinding: pruned weights go on by the last stretch of the dense network's schedule
(Renda, Frankle and Carbin 2020, arXiv 2003.02389, section 2).

The rate goes back to what it was, the weights do not; fine-tuning would go on at the last, smallest
one.
"""

from stagewise.errors import check_range
from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float, *, of: int) -> list[Phase]:
    """One phase of all epochs, the last of a schedule of ``of``, whose peak is ``lr``; the whole
    of it where it is shorter.

    Raises:
        UserError: an option is out of range.
    """
    check_range("of", of, 1, 100_000)
    start = max(0, of - epochs)
    return [Phase("rewind", epochs, lr, schedule_start=start, schedule_epochs=start + epochs)]
