"""FitNet against the CRD benchmark's regressor and mean squared error, loop by loop in NumPy.

The paper has half the sum of squares, and no batch norm in the regressor.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make, network, shown, task_data, whole_batch
from oracles import Array, agree, draw, leaf, normed, rectified
from torch import nn

from stagewise.methods._connectors import regressor
from stagewise.methods.fitnet import hint_loss

SIZE = 16


def convolved(maps: Array, weight: Array, stride: int, padding: int) -> Array:
    """(B, C, H, W) and (outputs, C, k, k) → (B, outputs, H', W')."""
    padded = np.pad(maps, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kernel = weight.shape[2]
    side = (padded.shape[2] - kernel) // stride + 1
    out = np.zeros((len(maps), len(weight), side, side), dtype=np.result_type(maps, weight))
    for row in range(side):
        for column in range(side):
            at = (
                slice(row * stride, row * stride + kernel),
                slice(column * stride, column * stride + kernel),
            )
            out[:, :, row, column] = np.einsum("bcij,ocij->bo", padded[:, :, *at], weight)
    return out


def transposed(maps: Array, weight: Array, stride: int, padding: int) -> Array:
    """(B, C, H, W) and (C, outputs, k, k) → (B, outputs, H', W')."""
    kernel, side = weight.shape[2], (maps.shape[2] - 1) * stride + weight.shape[2]
    out = np.zeros((len(maps), weight.shape[1], side, side), dtype=np.result_type(maps, weight))
    for row in range(maps.shape[2]):
        for column in range(maps.shape[3]):
            spread = np.einsum("bc,coij->boij", maps[:, :, row, column], weight)
            top, left = row * stride, column * stride
            out[:, :, top : top + kernel, left : left + kernel] += spread
    inner = slice(padding, side - padding)
    return out[:, :, inner, inner]


@pytest.mark.parametrize(
    ("side", "wanted", "by_hand"),
    [
        (4, 2, lambda x, w: convolved(x, w, 2, 1)),
        (2, 4, lambda x, w: transposed(x, w, 2, 1)),
        (1, 4, lambda x, w: transposed(x, w, 4, 2)),
        (4, 4, lambda x, w: convolved(x, w, 1, 0)),
        (5, 3, lambda x, w: convolved(x, w, 1, 0)),
    ],
)
def test_fitnet_is_the_benchmarks(
    side: int, wanted: int, by_hand: Callable[[Array, Array], Array]
) -> None:
    student, hint = leaf(3, 2, side, side, seed=1), draw(3, 3, wanted, wanted, seed=2).relu()
    layers = regressor(student, hint, "hint").double()
    conv, norm = layers[0], layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight.copy_(1 + draw(3, seed=3, scale=0.2))
        norm.bias.copy_(draw(3, seed=4, scale=0.2))
    guided = layers(student)
    assert guided.shape == hint.shape

    def formula(maps: Array, weight: Array, scale: Array, shift: Array) -> Any:
        regressed = rectified(normed(by_hand(maps, weight), scale, shift))
        return ((regressed - hint.numpy()) ** 2).mean()

    leaves = [student, conv.get_parameter("weight"), norm.weight, norm.bias]
    agree(hint_loss(guided, hint), leaves, formula)


@pytest.mark.parametrize("name", ["fitnet", "fitnet_two_stage"])
def test_fitnets_hint_is_the_second_stages_map(name: str) -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make(name, student, teacher, data)
    of_student, of_teacher, batch = shown(method, whole_batch(data), student, teacher)
    assert of_teacher is not None
    guided = method.get_submodule("regressor")(of_student.taps["stage2"])
    expected = (guided - of_teacher.taps["stage2"]).square().mean().item()
    terms = method(of_student, of_teacher, batch)
    assert terms["hint"].item() == pytest.approx(expected, rel=1e-5)
