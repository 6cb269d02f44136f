"""Branches: what goes on from a network's stage, with weights of its own."""

from itertools import groupby

import pytest
import torch
from helpers import architecture, copied, network
from torch import nn

from stagewise.catalogue import networks
from stagewise.models.store import build
from stagewise.pruning.prune import prune
from stagewise.pruning.reach import Limits

FAMILIES = [next(names) for _, names in groupby(networks(), networks().get)]
"""The first network of each file."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_branch_is_what_follows_a_stage(name: str) -> None:
    built = network(name, image_size=32).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    before = copied(built)
    out = built(torch.randn(2, 1, 32, 32))
    for stage in built.stages[:-1]:
        branch = built.branch(stage, out.taps[stage], 4)
        shared = {k: t for k, t in built.state_dict().items() if k in branch.state_dict()}
        assert shared.keys() == branch.state_dict().keys()
        assert not torch.equal(branch.resume(stage, out.taps), out.logits)  # weights of its own
        branch.load_state_dict(shared)
        assert torch.equal(branch.eval().resume(stage, out.taps), out.logits)
    assert all(torch.equal(t, before[key]) for key, t in built.state_dict().items())
    assert built.stages == type(built).stages


@pytest.mark.parametrize("name", [*FAMILIES, "resnet50"])
def test_the_last_stages_branch_has_a_further_stage_of_its_kind(name: str) -> None:
    built = network(name, image_size=32)
    out = built(torch.randn(4, 1, 32, 32))
    last = built.stages[-1]
    branch = built.branch(last, out.taps[last], 16)
    assert branch.stages == ("further",)
    logits = branch.resume(last, out.taps)
    assert logits.shape == (4, 16)
    logits.square().sum().backward()
    assert [n for n, p in branch.named_parameters() if p.grad is None] == []
    convolutions = [m for m in branch.modules() if isinstance(m, nn.Conv2d)]
    kinds = [m for m in built.get_submodule(last).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) >= len(kinds) - 1  # but for a shortcut that changes the shape


@pytest.mark.parametrize("name", ["resnet8", "resnet10", "vgg8", "wrn16-1"])
def test_a_pruned_network_has_branches_of_its_own_shape(name: str) -> None:
    shape = architecture(name, options={"width": 8}, image_size=32)
    built = build(shape, seed=0)
    limits = Limits(min_channels=2, min_share=0.25)
    prune(built, shape, criterion="random", ratio=1.5, limits=limits, tolerance=0.2, seed=0)
    out = built(torch.randn(4, 1, 32, 32))
    for stage in built.stages:
        branch = built.branch(stage, out.taps[stage], 16)
        assert branch.resume(stage, out.taps).shape == (4, 16)
        for follower in branch.stages[:-1]:
            expected = dict(built.get_submodule(follower).named_parameters())
            found = dict(branch.get_submodule(follower).named_parameters())
            assert {n: p.shape for n, p in found.items()} == {
                n: p.shape for n, p in expected.items()
            }
