"""AT against torchdistill's loss as the authors' code has it; the paper's equation is another."""

import pytest
import torch
from oracles import draw, leaf, same
from torch import Tensor
from torchdistill.losses.mid_level import ATLoss

from stagewise.methods._connectors import of_one_size
from stagewise.methods.at import attention_loss

SIDES = [(4, 4), (4, 2), (2, 4)]
PATHS = {"teacher": {"io": "output", "path": "t"}, "student": {"io": "output", "path": "s"}}


def pooled(maps: Tensor, side: int) -> Tensor:
    """Means of squares of pixels."""
    step = maps.shape[2] // side
    corners = [maps[:, :, i::step, j::step] for i in range(step) for j in range(step)]
    return torch.stack(corners).mean(0)


def by_torchdistill(student: Tensor, teacher: Tensor, mode: str) -> Tensor:
    side = min(student.shape[2], teacher.shape[2])
    loss: Tensor = ATLoss({"pair": PATHS}, mode=mode)(
        {"s": {"output": pooled(student, side)}}, {"t": {"output": pooled(teacher, side)}}
    )
    return loss


def test_at_is_the_authors_code_summed_over_the_pairs() -> None:
    students = [leaf(3, 5, own, own, seed=own) for own, _ in SIDES]
    teachers = [draw(3, 2, other, other, seed=9 + other) for _, other in SIDES]
    both = list(zip(students, teachers, strict=True))
    expected = torch.stack([by_torchdistill(s, t, "code") for s, t in both]).sum()
    same(attention_loss([of_one_size(s, t) for s, t in both]), expected, students)


def test_the_papers_equation_is_another() -> None:
    student, teacher = draw(3, 5, 4, 4, seed=1), draw(3, 5, 4, 4, seed=2)
    papers = by_torchdistill(student, teacher, "paper").item()
    assert attention_loss([(student, teacher)]).item() != pytest.approx(papers, rel=0.05)
