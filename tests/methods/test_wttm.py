"""WTTM against the authors' code (zkxufo, ``distiller_zoo/wttm.py``), transcribed to NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from oracles import Array, agree, draw, leaf, softmax

from stagewise.methods.wttm import transformed_loss


def wttm_by_hand(student: Array, teacher: Array, gamma: float) -> Any:
    """U_γ KL(p^γ / U_γ ‖ q), a mean over images, from probabilities."""
    total = 0
    for z_s, z_t in zip(student, teacher, strict=True):
        power, q = softmax(z_t) ** gamma, softmax(z_s)
        p = power / power.sum()
        total = total + power.sum() * (p * np.log(p / q)).sum()
    return total / len(student)


@pytest.mark.parametrize("gamma", [0.2, 1.0])
def test_wttm_is_the_authors(gamma: float) -> None:
    student, teacher = leaf(6, 5, seed=1, scale=3), draw(6, 5, seed=2, scale=3)
    loss = transformed_loss(student, teacher, gamma)
    agree(loss, [student], lambda z: wttm_by_hand(z, teacher.numpy(), gamma))


def test_the_transformed_teacher_is_the_one_at_temperature_one_over_gamma() -> None:
    teacher = draw(6, 5, scale=3)
    assert abs(transformed_loss(0.2 * teacher, teacher, 0.2).item()) < 1e-12
    assert transformed_loss(teacher, teacher, 0.2).item() > 0.1


def test_images_of_which_the_teacher_is_unsure_count_more() -> None:
    student = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    unsure, sure = (torch.tensor([[0.0, a, 0.0]], dtype=torch.float64) for a in (0.0, 40.0))
    found = transformed_loss(student, unsure, 0.5).item()
    expected = 3**0.5 * np.log((1 / 3) / np.array([np.e, 1, 1]) * (np.e + 2)).mean()
    assert found == pytest.approx(expected)  # Σ (1/3)^½ = √3, and 1 for the sure one
    assert transformed_loss(student, sure, 0.5).item() == pytest.approx(np.log(np.e + 2), rel=1e-6)
