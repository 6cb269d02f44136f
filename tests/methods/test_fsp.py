"""FSP against the CRD benchmark's loss in NumPy, and its matrices against torchdistill's.

torchdistill's ``FSPLoss`` max-pools, as the paper does, and sums the norms of the matrices' columns
instead of squares; where maps are of one size its matrix is ours.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from helpers import make, network, shown, task_data, whole_batch
from oracles import Array, agree, draw, leaf
from torch import Tensor
from torchdistill.losses.mid_level import FSPLoss

from stagewise.errors import UserError
from stagewise.methods.fsp import Method as FSP
from stagewise.methods.fsp import flow, flow_loss

SIZE = 16
SHAPES = [(3, 2, 4, 4), (3, 3, 4, 4), (3, 4, 2, 2), (3, 2, 1, 1)]


def pooled(maps: Array, side: int) -> Array:
    step = maps.shape[2] // side
    out: Array = maps.reshape(*maps.shape[:2], side, step, side, step).mean((3, 5))
    return out


def flow_by_hand(shallow: Array, deep: Array) -> Array:
    side = min(shallow.shape[2], deep.shape[2])
    a, b = pooled(shallow, side), pooled(deep, side)
    out: Array = (a[:, :, None] * b[:, None]).mean((3, 4))
    return out


def test_fsp_is_the_benchmarks() -> None:
    students = [leaf(*shape, seed=n) for n, shape in enumerate(SHAPES)]
    teachers = [draw(*shape, seed=n + 9) for n, shape in enumerate(SHAPES)]
    theirs = [flow_by_hand(a.numpy(), b.numpy()) for a, b in pairwise(teachers)]

    def formula(*maps: Array) -> Any:
        own = [flow_by_hand(a, b) for a, b in pairwise(maps)]
        return sum(((s - t) ** 2).mean() for s, t in zip(own, theirs, strict=True))

    agree(flow_loss(students, teachers), students, formula)
    assert flow_loss(teachers, teachers).item() == 0


def test_a_flow_is_torchdistills_matrix() -> None:
    shallow, deep = draw(3, 2, 4, 4, seed=1), draw(3, 5, 4, 4, seed=2)
    expected = FSPLoss.compute_fsp_matrix(shallow, deep)
    assert isinstance(expected, Tensor)
    np.testing.assert_allclose(flow(shallow, deep), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["resnet14", "wrn16-1"])
def test_stem_and_all_stages_are_compared(name: str) -> None:
    student, teacher = network(name, image_size=SIZE), network(name, seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("fsp", student, teacher, data)
    of_student, of_teacher, batch = shown(method, whole_batch(data), student, teacher)
    assert of_teacher is not None
    names = ("stem", "stage1", "stage2", "stage3")
    own, theirs = (
        [features.taps[name].detach().numpy() for name in names]
        for features in (of_student, of_teacher)
    )
    expected = sum(
        ((flow_by_hand(*s) - flow_by_hand(*t)) ** 2).mean()
        for s, t in zip(pairwise(own), pairwise(theirs), strict=True)
    )
    terms = method(of_student, of_teacher, batch)
    assert terms["flow"].item() == pytest.approx(float(expected), rel=1e-5)


def test_a_deeper_network_is_compared_from_the_deepest() -> None:
    """Five maps with four of a student as wide as the teacher's last four."""
    data = task_data(8, size=SIZE)
    student = network("resnet8x4", image_size=SIZE, options={"width": 4})
    method = make("fsp", student, network("resnet10", options={"width": 4}), data)
    assert isinstance(method, FSP)
    assert [theirs for _, theirs in method.pairs] == ["stage1", "stage2", "stage3", "stage4"]


def test_other_channels_are_refused() -> None:
    """The benchmark's table has no value from WRN-40-2 to WRN-40-1 either."""
    words = r"the student's have \[4, 4, 8, 16\] channels and the teacher's \[4, 8, 16, 32\]"
    with pytest.raises(UserError, match=words):
        make("fsp", network("wrn16-1"), network("wrn16-2"))
