"""Quality of features: CKA and the ridge classifier, against their definitions."""

import pytest
import torch
from torch import Tensor

from stagewise.measure.features import linear_cka, ridge_accuracy


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rotation(size: int) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(size, size, generator=generator(5)))
    return q


def test_cka_is_1_for_the_same_features() -> None:
    x = torch.randn(50, 6, generator=generator())
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("wide", "other"), [(6, 6), (3, 9), (40, 5)])
def test_cka_is_that_of_the_images_gram_matrices(wide: int, other: int) -> None:
    """Kornblith et al. 2019: HSIC of n by n matrices, which compares images, never channels."""
    n = 30
    x, y = (torch.randn(n, c, generator=generator(c)).double() for c in (wide, other + 100))
    y = y[:, :other] + x[:, :1]
    centre = torch.eye(n, dtype=torch.float64) - 1 / n
    k, m = (centre @ z @ z.T @ centre for z in (x, y))
    expected = (k * m).sum() / ((k * k).sum() * (m * m).sum()).sqrt()
    assert linear_cka(x.float(), y.float()) == pytest.approx(expected.item(), abs=1e-5)


def test_cka_does_not_see_rotation_scale_or_shift() -> None:
    x = torch.randn(50, 6, generator=generator())
    y = torch.randn(50, 6, generator=generator(1)) + 0.5 * x
    plain = linear_cka(x, y)
    assert linear_cka(x, x @ rotation(6)) == pytest.approx(1, abs=1e-5)
    assert linear_cka(x, 7 * x + 3) == pytest.approx(1, abs=1e-4)
    assert linear_cka(x, -0.01 * y @ rotation(6) + 2) == pytest.approx(plain, abs=1e-3)
    assert linear_cka(y, x) == pytest.approx(plain, abs=1e-5)


def test_cka_is_small_for_unrelated_features() -> None:
    x, y = (torch.randn(2000, 4, generator=generator(seed)) for seed in (0, 1))
    assert 0 <= linear_cka(x, y) < 0.05


def test_cka_is_the_definition_by_hand() -> None:
    x = torch.tensor([[1.0], [0.0], [-1.0]])
    y = torch.tensor([[1.0], [-2.0], [1.0]])
    assert linear_cka(x, y) == pytest.approx(0)
    z = torch.tensor([[1.0], [1.0], [-2.0]])
    # (x·z)² / (x·x z·z) = 3² / (2 · 6)
    assert linear_cka(x, z) == pytest.approx(9 / 12)


def blobs(each: int = 40, apart: float = 6.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = torch.arange(3).repeat(each)
    centres = apart * torch.eye(3, 5)
    return centres[labels] + torch.randn(len(labels), 5, generator=generator(seed)), labels


def test_ridge_tells_separable_classes_apart() -> None:
    train, test = blobs(apart=20.0), blobs(apart=20.0, seed=1)
    assert ridge_accuracy(*train, *test) == 100
    assert ridge_accuracy(1000 * train[0] + 9, train[1], 1000 * test[0] + 9, test[1]) == 100


def test_ridge_knows_nothing_of_random_labels() -> None:
    (x, labels), (check, truth) = blobs(400, apart=0.0), blobs(400, apart=0.0, seed=1)
    assert ridge_accuracy(x, labels, check, truth) == pytest.approx(100 / 3, abs=8)
