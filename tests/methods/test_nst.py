"""NST against the paper's sums over pairs of channels, in NumPy, with the kernel (xᵀy)²."""

from typing import Any

import numpy as np
from oracles import Array, agree, draw, leaf

from stagewise.methods.nst import selectivity_loss


def nst_by_hand(student: Array, teacher: Array) -> Any:
    """Image by image and channel by channel; a channel over its length is a vector of length 1."""
    total = 0
    for s, t in zip(student, teacher, strict=True):
        rows = [maps.reshape(len(maps), -1) for maps in (s, t)]
        s_, t_ = ([row / np.sqrt((row**2).sum()) for row in each] for each in rows)
        for one, other, weight in ((t_, t_, 1), (s_, s_, 1), (s_, t_, -2)):
            kernels = [(x * y).sum() ** 2 for x in one for y in other]
            total = total + weight * sum(kernels) / len(kernels)
    return total / len(student)


def test_nst_is_the_papers() -> None:
    student, teacher = leaf(3, 5, 2, 2, seed=1), draw(3, 4, 2, 2, seed=2)
    agree(
        selectivity_loss(student, teacher),
        [student],
        lambda maps: nst_by_hand(maps, teacher.numpy()),
    )


def test_the_order_of_channels_means_nothing() -> None:
    maps = draw(3, 5, 2, 2)
    assert abs(selectivity_loss(maps[:, [3, 0, 4, 1, 2]], maps).item()) < 1e-12
