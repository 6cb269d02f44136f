"""Exits on a frozen backbone, whose batch norm stands still: how OtO's teacher gets its exits."""

from stagewise.recipes.base import Phase


def phases(epochs: int, lr: float) -> list[Phase]:
    """One phase in which only the exits move."""
    return [Phase("exits", epochs, lr, trains=("exits",))]
