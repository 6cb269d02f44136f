"""SP against the paper's formula in NumPy.

torchdistill's ``SPKDLoss`` passes 1 to ``normalize`` as the norm, so its rows have a sum of 1, not
a length of 1: it is another loss.
"""

from typing import Any

import numpy as np
import pytest
from oracles import Array, agree, draw, leaf
from torchdistill.losses.mid_level import SPKDLoss

from stagewise.methods.sp import similarity_loss


def sp_by_hand(student: Array, teacher: Array) -> Any:
    """Σ (G_t - G_s)² / B², image by image; each row of G over its length."""
    total = 0
    for i in range(len(student)):
        rows = [
            np.array([(maps[i] * maps[j]).sum() for j in range(len(maps))])
            for maps in (student, teacher)
        ]
        s, t = (row / np.sqrt((row**2).sum()) for row in rows)
        total = total + ((t - s) ** 2).sum()
    return total / len(student) ** 2


def test_sp_is_the_papers() -> None:
    student, teacher = leaf(6, 5, 2, 2, seed=1), draw(6, 3, 4, 4, seed=2)
    agree(
        similarity_loss(student, teacher),
        [student],
        lambda maps: sp_by_hand(maps, teacher.numpy()),
    )


def test_torchdistills_is_another() -> None:
    student, teacher = draw(6, 5, 2, 2, seed=1), draw(6, 3, 4, 4, seed=2)
    oracle = SPKDLoss("s", "t", "batchmean")
    theirs = oracle({"s": {"output": student}}, {"t": {"output": teacher}})
    assert similarity_loss(student, teacher).item() != pytest.approx(theirs.item(), rel=0.05)
