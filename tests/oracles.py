"""What oracles share: numbers in float64, and a second opinion on values and gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def leaf(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return draw(*shape, seed=seed, scale=scale).requires_grad_(True)


def complex_step(function: Callable[..., Any], arrays: list[Array], number: int) -> Array:
    """Derivative of ``function(*arrays)`` by each element of one of its arrays."""
    slope = np.zeros_like(arrays[number])
    for place in np.ndindex(slope.shape):
        moved = [array.astype(complex) for array in arrays]
        moved[number][place] += 1e-30j
        slope[place] = np.imag(function(*moved)) / 1e-30
    return slope


def agree(loss: Tensor, leaves: list[Tensor], function: Callable[..., Any]) -> None:
    """Value and all gradients of ``loss`` are those of a NumPy function of the same arrays."""
    arrays = [leaf.detach().numpy().copy() for leaf in leaves]
    assert loss.item() == pytest.approx(float(function(*arrays)), rel=1e-10)
    gradients = torch.autograd.grad(loss, leaves)
    for number, gradient in enumerate(gradients):
        expected = complex_step(function, arrays, number)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-8, atol=1e-12)


def same(found: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    """Value and all gradients of two tensors of the same leaves."""
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    ours, theirs = (torch.autograd.grad(loss, leaves) for loss in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-14)


def softmax(values: Array) -> Array:
    powers = np.exp(values)
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def kl(teacher: Array, student: Array, temperature: float) -> Any:
    """T² Σ p^t log(p^t / p^s), a mean over rows, of logits (B, C)."""
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    return temperature**2 * (p * np.log(p / q)).sum() / len(p)


def normed(maps: Array, scale: Array, shift: Array) -> Array:
    """Batch norm of (B, C, ...) by the batch's own mean and biased variance, over all but C."""
    over = tuple(axis for axis in range(maps.ndim) if axis != 1)
    centred = maps - maps.mean(over, keepdims=True)
    spread = np.sqrt((centred**2).mean(over, keepdims=True) + 1e-5)
    shape = (1, -1, *[1] * (maps.ndim - 2))
    out: Array = centred / spread * scale.reshape(shape) + shift.reshape(shape)
    return out


def rectified(values: Array) -> Array:
    return np.where(values.real > 0, values, 0)
