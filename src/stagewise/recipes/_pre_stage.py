"""What recipes with a pre-stage share: first one term of a method alone, then training."""

from stagewise.recipes.base import Phase


def one_term_first(
    epochs: int, lr: float, share: float, *, term: str, weight: float, trains: tuple[str, ...]
) -> list[Phase]:
    """Both phases together take ``epochs``; ``share`` of them, at least one, is the first.

    It trains ``trains`` by ``term`` at a constant rate and is called after it; the second trains
    the network by the run's weights, while the method's parts rest.
    """
    first = min(max(1, round(share * epochs)), epochs - 1)
    return [
        Phase(term, first, lr, trains=trains, weights={term: weight}, schedule="constant"),
        Phase("train", epochs - first, lr, trains=("network",)),
    ]
