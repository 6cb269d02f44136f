"""Exit after exit on every batch: K updates, each with what the one before left.

A reading of MSKD's algorithm (Appl. Sci. 2022, 12:9453), of which only the frame is available: the
loop over exits may update the weights inside. As in Gauss and Seidel's iteration, exit k answers
with the weights that exits 1 to k - 1 have just moved; its loss moves the stages up to it and its
head. An epoch has K times the updates of ``one_stage``, so the epochs are divided by K: a run has
as many gradient steps, on a K-th of the images. A shallow exit's update runs only what leads to it.
"""

from stagewise.models.features import Paths
from stagewise.recipes.base import ExitByExitPhase, Phase


def phases(epochs: int, lr: float, paths: Paths) -> list[Phase]:
    """One phase of a K-th of ``epochs``, rounded, at least one; ``paths``: the parts that lead to
    each of the K exits."""
    share = max(1, round(epochs / len(paths)))
    return [ExitByExitPhase("exit by exit", share, lr, paths=paths)]
