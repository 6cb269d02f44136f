"""DIST against torchdistill's loss, and probabilities that do not vary."""

import pytest
import torch
from oracles import draw, leaf, same
from torchdistill.losses.mid_level import DISTLoss

from stagewise.methods.dist import dist_terms


@pytest.mark.parametrize("tau", [1.0, 4.0])
@pytest.mark.parametrize("term", [0, 1])
def test_dist_is_the_authors(tau: float, term: int) -> None:
    student, teacher = leaf(6, 5, seed=1, scale=3), draw(6, 5, seed=2, scale=3)
    weights = [(1.0, 0.0), (0.0, 1.0)][term]
    oracle = DISTLoss("s", "output", "t", "output", *weights, tau)
    expected = oracle({"s": {"output": student}}, {"t": {"output": teacher}})
    same(dist_terms(student, teacher, tau)[term], expected, [student])


def test_a_classifier_that_starts_at_0_is_not_thrown_away() -> None:
    """Its probabilities correlate with nothing; the limit of the gradient there is infinite."""
    student = torch.zeros(6, 5, requires_grad=True)
    terms = dist_terms(student, draw(6, 5, scale=3).float(), 4.0)
    torch.stack(terms).sum().backward()
    assert [term.item() for term in terms] == [16, 16]
    assert student.grad is not None
    assert student.grad.abs().max() < 1


def test_a_stretched_answer_is_as_good() -> None:
    """What is compared is how probabilities vary, not how much: here by a tenth as much."""
    teacher = draw(6, 5, scale=3)
    student = (0.1 * teacher.softmax(1) + 0.9 / 5).log()
    assert max(term.item() for term in dist_terms(student, teacher, 1.0)) < 1e-12
