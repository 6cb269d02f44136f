"""The backbone first, then all exits jointly ("Joint or Disjoint: Mixing Training Regimes for
Early-Exit Models", 2024, arXiv 2407.14320).

In the first stage backbone and last exit learn by the last exit's loss alone, as a network without
early exits does; these do not run. In the second, everything learns by the sum of all losses: what
two-stage distillation is to a classifier, turned round. The paper trains the first to its end; here
both share the run's epochs.
"""

from stagewise.errors import check_range
from stagewise.models.features import Paths
from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float, paths: Paths, *, share: float = 0.5) -> list[Phase]:
    """Both stages together take ``epochs``; ``share`` of them, at least one, is the first.

    ``paths``: the parts that lead to each exit.

    Raises:
        UserError: the share is out of range.
    """
    check_range("share", share, 0, 1)
    first = min(max(1, round(share * epochs)), epochs - 1)
    return [
        Phase("backbone", first, lr, trains=(*paths[-1], "method"), exits=paths[-1][-1:]),
        Phase("joint", epochs - first, lr),
    ]
