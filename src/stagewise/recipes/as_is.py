"""Nothing is trained: the network is measured as it came, such as a teacher of one's own."""

from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float) -> list[Phase]:
    """None."""
    return []
