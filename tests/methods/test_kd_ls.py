"""Logit standardisation (arXiv 2403.01427, section 4) is torchdistill's; with DKD: ``test_dkd``."""

from dataclasses import replace

import pytest
import torch
from helpers import features, make, task_data, whole_batch
from oracles import draw, leaf, same
from torch import Tensor
from torchdistill.losses.mid_level import LogitStdKDLoss

from stagewise.catalogue import method_weights
from stagewise.methods._standardise import standardise
from stagewise.methods.base import soft_target_loss

BATCH = replace(whole_batch(task_data(8)), progress=torch.tensor(300.0))


def test_kd_with_it_is_torchdistills() -> None:
    student, teacher = leaf(8, 4, seed=1, scale=3), draw(8, 4, seed=2, scale=3)
    oracle = LogitStdKDLoss("z", "output", "z", "output", 2.0, alpha=0.1, beta=9.0)
    answers = {"output": student}, {"output": teacher}
    expected = oracle({"z": answers[0]}, {"z": answers[1]}, BATCH.labels)
    weights, terms = (
        method_weights("kd_ls"),
        make("kd_ls")(features(student), features(teacher), BATCH),
    )
    total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
    same(total, expected, [student])


@pytest.mark.parametrize("scale", [0.1, 7.0, 100.0])
@pytest.mark.parametrize("shift", [-100.0, 3.0])
def test_scale_and_shift_of_either_change_nothing(scale: float, shift: float) -> None:
    student, teacher = draw(6, 5, seed=1), draw(6, 5, seed=2)

    def loss(one: Tensor, other: Tensor) -> float:
        return soft_target_loss(standardise(one), standardise(other), 2.0).item()

    plain = loss(student, teacher)
    assert loss(scale * student + shift, teacher) == pytest.approx(plain, rel=1e-5)
    assert loss(student, scale * teacher + shift) == pytest.approx(plain, rel=1e-5)
    assert abs(loss(scale * teacher + shift, teacher)) < 1e-10


@pytest.mark.parametrize("name", ["kd_ls", "dkd_ls"])
@pytest.mark.parametrize("level", [0.0, 0.1, -30.0])
def test_equal_logits_have_a_loss_and_a_gradient(name: str, level: float) -> None:
    """Their deviation is 0: a classifier that starts at zero says so of every image."""
    student = torch.full((8, 4), level, requires_grad=True)
    terms = make(name)(features(student), features(draw(8, 4, seed=2).float()), BATCH)
    torch.stack(list(terms.values())).sum().backward()
    assert all(term.isfinite() for term in terms.values())
    assert student.grad is not None
    assert student.grad.isfinite().all()
