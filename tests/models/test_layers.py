"""Layers that several networks share: what a grouped convolution computes in, and who has it."""

import pytest
import torch
from torch import nn

from stagewise import catalogue
from stagewise.models.layers import GroupedConv2d
from stagewise.models.store import Architecture, build


def pair(stride: int) -> tuple[GroupedConv2d, nn.Conv2d]:
    """The layer, and PyTorch's own with the same weights."""
    torch.manual_seed(0)
    ours, plain = (kind(6, 6, 3, stride, 1, groups=6) for kind in (GroupedConv2d, nn.Conv2d))
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def test_in_float32_it_is_pytorchs_own() -> None:
    x = torch.rand(2, 6, 8, 8)
    for stride in (1, 2):
        ours, plain = pair(stride)
        assert torch.equal(ours(x), plain(x))


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_with_a_stride_it_stays_in_float32_under_autocast(given: torch.dtype) -> None:
    ours, plain = pair(2)
    x = torch.rand(2, 6, 8, 8).to(given).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        answer = ours(x)
    assert answer.dtype == torch.float32
    assert torch.equal(answer, plain(x.float()))
    answer.sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == given
    assert ours.weight.grad is not None


def test_without_a_stride_autocast_takes_it() -> None:
    ours, _ = pair(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(torch.rand(2, 6, 8, 8)).dtype == torch.bfloat16


@pytest.mark.parametrize("head", [None, *catalogue.heads()])
@pytest.mark.parametrize(
    "name", ["vgg8", "mobilenetv2-crd", "shufflenetv1-crd", "shufflenetv2-crd"]
)
def test_every_strided_layer_in_groups_is_one(name: str, head: str | None) -> None:
    network = build(Architecture(name, {}, 5, 3, 32, exits=head), 0)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    strided = [layer for layer in layers if max(layer.stride) > 1]
    assert all(isinstance(layer, GroupedConv2d) for layer in strided)
    assert strided or name == "vgg8"
