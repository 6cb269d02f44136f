"""Standard training and distillation: one phase, everything moves."""

from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float) -> list[Phase]:
    """One phase of all epochs."""
    return [Phase("train", epochs, lr)]
