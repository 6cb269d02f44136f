"""PKT against torchdistill's loss, which adds a number to every probability; without it, ours."""

import pytest
import torch
from oracles import draw, leaf, same
from torch import Tensor
from torchdistill.losses.mid_level import PKTLoss

from stagewise.methods.pkt import log_neighbours, neighbour_loss


def by_torchdistill(student: Tensor, teacher: Tensor, eps: float) -> Tensor:
    io = {"student_module_io": "output", "teacher_module_io": "output", "eps": eps}
    loss: Tensor = PKTLoss("s", teacher_module_path="t", **io)(
        {"s": {"output": student}}, {"t": {"output": teacher}}
    )
    return loss


def test_pkt_is_the_papers() -> None:
    student, teacher = leaf(6, 5, seed=1), draw(6, 9, seed=2)
    same(neighbour_loss(student, teacher), by_torchdistill(student, teacher, 0.0), [student])


def test_what_the_authors_code_adds_changes_little() -> None:
    student, teacher = draw(6, 5, seed=1), draw(6, 9, seed=2)
    found, theirs = neighbour_loss(student, teacher), by_torchdistill(student, teacher, 1e-7)
    assert found.item() == pytest.approx(theirs.item(), rel=1e-4)
    assert found.item() != theirs.item()


def test_opposite_vectors_are_neighbours_with_a_probability_that_is_not_0() -> None:
    ahead = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    found = log_neighbours(ahead).exp()
    assert found.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert found[0].tolist() == pytest.approx([2 / 3, 0, 1 / 3], abs=1e-6)
    assert found[0, 1] > 0
