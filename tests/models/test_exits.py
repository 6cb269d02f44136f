"""Exits: one a stage, the last one the backbone's own, on maps of any size."""

from itertools import groupby

import pytest
import torch
from helpers import architecture, copied, network

from stagewise.catalogue import networks
from stagewise.models.exits import MultiExit
from stagewise.models.store import build, with_exits

FAMILIES = [next(names) for _, names in groupby(networks(), networks().get)]
HEADS = ["linear", "sepatt"]


def multi(name: str, head: str, size: int = 8) -> MultiExit:
    built = network(name, exits=head, image_size=size)
    assert isinstance(built, MultiExit)
    return built.eval()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [8, 17])
def test_every_stage_has_an_exit_on_images_of_any_size(name: str, head: str, size: int) -> None:
    built = multi(name, head, size)
    out = built(torch.randn(3, 1, size, size))
    assert len(out.exits) == len(built.stages)
    assert all(logits.shape == (3, 4) for logits in out.exits)
    assert all(logits.isfinite().all() for logits in out.exits)
    out.answer.sum().backward()
    assert all(p.grad is not None for p in built.exits.parameters())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [8, 17, 31])
def test_a_separable_head_ends_at_the_size_of_the_last_stage(name: str, size: int) -> None:
    built = multi(name, "sepatt", size)
    maps = built.backbone.exit_maps(built.backbone(torch.randn(1, 1, size, size)).taps)
    last = maps[-1].shape
    for head, stage, tap in zip(built.exits, built.stages[:-1], maps[:-1], strict=True):
        x = tap
        for layer in list(head)[:-2]:  # all but pooling and the linear layer
            x = layer(x)
        assert x.shape[1] == last[1], stage
        assert abs(x.shape[2] - last[2]) <= 1, stage  # VGG's pooling rounds down, a stride up


@pytest.mark.parametrize("head", HEADS)
def test_the_last_exit_is_the_backbones_own(head: str) -> None:
    built = multi("resnet8", head)
    images = torch.randn(2, 1, 8, 8)
    out, alone = built(images), built.backbone(images)
    assert torch.equal(out.exits[-1], out.logits)
    assert torch.equal(out.logits, alone.logits)
    assert out.taps.keys() == alone.taps.keys()


def test_the_answer_is_the_mean_of_all_exits() -> None:
    built = multi("resnet8", "linear")
    out = built(torch.randn(2, 1, 8, 8))
    assert torch.allclose(out.answer, (out.exits[0] + out.exits[1] + out.exits[2]) / 3)
    alone = built.backbone(torch.randn(2, 1, 8, 8))
    assert torch.equal(alone.answer, alone.logits)


def test_an_exit_sees_nothing_behind_its_stage() -> None:
    built = multi("resnet8", "sepatt")
    images = torch.randn(2, 1, 8, 8)
    before = built(images).exits
    with torch.no_grad():
        for p in built.backbone.get_submodule("stage2").parameters():
            p.add_(0.5)
    after = built(images).exits
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_classifiers_are_the_layers_that_give_class_scores(name: str, head: str) -> None:
    built = multi(name, head)
    layers = built.classifiers()
    assert [layer.out_features for layer in layers] == [4] * len(built.stages)
    assert layers[-1] is built.backbone.classifier
    assert len({id(layer) for layer in layers}) == len(layers)


def test_new_exits_leave_the_backbone_as_it_was() -> None:
    alone = network(seed=5)
    before = copied(alone)
    built, shape = with_exits(alone, architecture(), "sepatt", seed=1)
    assert shape.exits == "sepatt"
    backbone = built.get_submodule("backbone").state_dict()
    assert all(torch.equal(tensor, backbone[key]) for key, tensor in before.items())
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(built.eval()(images).logits, network(seed=5).eval()(images).logits)


def test_new_exits_are_drawn_from_the_seed() -> None:
    first, second, other = (
        copied(with_exits(network(seed=5), architecture(), "sepatt", seed)[0]) for seed in (1, 1, 2)
    )
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    weights = [name for name in first if name.startswith("exits.") and name.endswith("0.weight")]
    assert any(not torch.equal(first[name], other[name]) for name in weights)


def test_the_heads_of_a_new_network_are_drawn_from_its_seed() -> None:
    first, other = (copied(build(architecture(exits="linear"), seed)) for seed in (1, 2))
    assert not torch.equal(first["exits.0.1.weight"], other["exits.0.1.weight"])
