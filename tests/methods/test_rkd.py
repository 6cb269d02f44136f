"""RKD against torchdistill's loss, and images with the same vector, where that has no gradient to
learn from."""

import pytest
import torch
from oracles import draw, leaf, same
from torchdistill.losses.mid_level import RKDLoss

from stagewise.methods.rkd import relation_losses, relations


@pytest.mark.parametrize("term", [0, 1])
def test_rkd_is_the_authors(term: int) -> None:
    student, teacher = leaf(6, 5, seed=1), draw(6, 9, seed=2)
    factors = [(1.0, 0.0), (0.0, 1.0)][term]
    oracle = RKDLoss("s", "t", *factors, reduction="mean")
    expected = oracle({"s": {"output": student}}, {"t": {"output": teacher}})
    same(relation_losses(student, teacher)[term], expected, [student])


def test_images_with_the_same_vector_pull_nowhere() -> None:
    """Their direction is not defined; its gradient would be as large as they are near."""
    student = draw(6, 5, seed=1).float()
    student[1] = student[0]
    student.requires_grad_(True)
    torch.stack(relation_losses(student, draw(6, 9, seed=2).float())).sum().backward()
    assert student.grad is not None
    assert 0 < student.grad.abs().max() < 1


def test_a_right_angle_and_a_straight_one() -> None:
    places = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [-1.0, 0.0]])
    distances, angles = relations(places)
    assert angles[0, 1, 2].item() == pytest.approx(0)
    assert angles[0, 1, 3].item() == pytest.approx(-1)
    assert angles[1, 0, 2].item() == pytest.approx(3 / 5)
    assert (distances[1, 2] / distances[0, 1]).item() == pytest.approx(5 / 3)
    assert distances.sum().item() == pytest.approx(12)  # their mean is 1, off the diagonal
