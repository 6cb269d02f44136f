"""Discriminative rates: the features move more slowly than the classifier on them.

One phase in which the backbone's rate is a share of the classifier's (Howard and Ruder 2018, arXiv
1801.06146, section 3.2, where each layer has one; here the backbone has one). A cheap alternative
to two stages: what a new classifier does to the features is made small instead of put off.
"""

from stagewise.errors import check_range
from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float, *, backbone: float = 0.1) -> list[Phase]:
    """One phase of all epochs; ``lr`` is the classifier's, and the method's parts', and times
    ``backbone`` the backbone's.

    Raises:
        UserError: an option is out of range.
    """
    check_range("backbone", backbone, 1e-6, 1)
    rates = {"network": backbone, "classifier": 1.0, "method": 1.0}
    return [Phase("train", epochs, lr, trains=rates)]
