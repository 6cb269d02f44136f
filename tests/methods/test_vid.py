"""VID against the CRD benchmark's regressor and loss, in NumPy; pooling is ``of_one_size``."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers import make, network, task_data
from oracles import Array, agree, draw, leaf, rectified
from torchdistill.losses.mid_level import VIDLoss

from stagewise.methods.vid import Gaussian, information_loss
from stagewise.methods.vid import Method as VID


def vid_by_hand(maps: Array, first: Array, second: Array, third: Array, rho: Array) -> Any:
    """½ ((μ - t)²/σ² + log σ²) with σ² = log(1 + exp ρ) + 1e-5, a mean over everything."""
    mean = rectified(np.einsum("bchw,oc->bohw", maps, first[:, :, 0, 0]))
    mean = rectified(np.einsum("bchw,oc->bohw", mean, second[:, :, 0, 0]))
    mean = np.einsum("bchw,oc->bohw", mean, third[:, :, 0, 0])
    variance = (np.log(1 + np.exp(rho)) + 1e-5).reshape(1, -1, 1, 1)
    return (0.5 * ((mean - TARGET.numpy()) ** 2 / variance + np.log(variance))).mean()


TARGET = draw(3, 4, 2, 2, seed=9)


def test_vid_is_the_benchmarks() -> None:
    torch.manual_seed(0)
    gaussian, maps = Gaussian(5, 4, 5.0).double(), leaf(3, 5, 2, 2, seed=1)
    with torch.no_grad():
        gaussian.rho.add_(draw(4, seed=2))
    weights = [gaussian.mean.get_parameter(f"{place}.weight") for place in (0, 2, 4)]
    loss = information_loss(gaussian(maps), TARGET)
    agree(loss, [maps, *weights, gaussian.rho], vid_by_hand)


def test_the_loss_is_torchdistills() -> None:
    mean, variance = draw(3, 4, 2, 2, seed=1), draw(4, seed=2).exp()
    paths = {"teacher": {"io": "output", "path": "t"}, "student": {"io": "output", "path": "s"}}
    given = mean, variance.view(1, -1, 1, 1)
    expected = VIDLoss({"pair": paths})({"s": {"output": given}}, {"t": {"output": TARGET}})
    assert information_loss((mean, variance), TARGET).item() == pytest.approx(expected.item())


def test_variances_start_where_they_are_told_to() -> None:
    method = make("vid", network(), network("vgg8"), task_data(8), variance=2.0)
    assert isinstance(method, VID)
    for gaussian in method.gaussians:
        assert isinstance(gaussian, Gaussian)
        _, variance = gaussian(
            torch.zeros(1, gaussian.mean.get_parameter("0.weight").shape[1], 1, 1)
        )
        assert variance.tolist() == pytest.approx([2.0] * len(gaussian.rho), rel=1e-6)
