"""What is attached to a frozen backbone, exits or a method's parts: how a teacher gets them.

The backbone's batch norm stands still too, so its own answers stay as they are.
"""

from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float) -> list[Phase]:
    """One phase in which only exits and method move."""
    return [Phase("attach", epochs, lr, trains=("exits", "method"))]
