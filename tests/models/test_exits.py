"""Exits: one a stage or in some places, the last one the backbone's own, on maps of any size; a
network cut at one answers as that exit did."""

from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import torch
from helpers import architecture, copied, network
from torch import nn

from stagewise.catalogue import heads, networks
from stagewise.models.cost import costs
from stagewise.models.exits import MultiExit
from stagewise.models.heads.deepcopy import Copy
from stagewise.models.store import build, cut_at, load_network, save_network, with_exits
from stagewise.training.trainer import deepest_exit

FAMILIES = [next(names) for _, names in groupby(networks(), networks().get)]
HEADS = sorted(heads())


def multi(name: str, head: str, size: int = 8, places: tuple[int, ...] = ()) -> MultiExit:
    built = network(name, exits=head, image_size=size, places=[*places])
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
@pytest.mark.parametrize("head", ["sep", "sepatt", "sepatt_strided", "scala", "bottleneck"])
@pytest.mark.parametrize("size", [8, 17, 31])
def test_a_convolutional_head_ends_at_the_size_of_the_last_stage(
    name: str, head: str, size: int
) -> None:
    built = multi(name, head, size)
    maps = built.backbone.exit_maps(built.backbone(torch.randn(1, 1, size, size)).taps)
    last = maps[-1].shape
    for place, stage, tap in zip(built.heads_at, built.stages[:-1], maps[:-1], strict=True):
        x = tap
        *layers, _, _ = built.head(place).children()  # all but pooling and the linear layer
        for layer in layers:
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


@pytest.mark.parametrize("name", FAMILIES)
def test_a_copy_with_the_networks_own_weights_answers_as_the_network(name: str) -> None:
    built = multi(name, "deepcopy", 16)
    own = built.backbone.state_dict()
    for place in built.heads_at:
        copy = built.head(place)
        assert isinstance(copy, Copy)
        copy.branch.load_state_dict({key: own[key] for key in copy.branch.state_dict()})
    *early, last = built(torch.randn(3, 1, 16, 16)).exits
    assert all(torch.allclose(logits, last, atol=1e-5) for logits in early)


@pytest.mark.parametrize("new", [True, False])
def test_a_copy_starts_as_its_network_does(new: bool) -> None:
    shape = architecture("vgg8", exits="deepcopy", options={"width": 16})
    if new:
        built = build(shape, 0)
    else:
        bare = replace(shape, exits=None)
        built = with_exits(build(bare, 0), bare, "deepcopy", 0)[0]
    assert isinstance(built, MultiExit)
    copy = built.head(1)
    assert isinstance(copy, Copy)
    assert not copy.branch.classifier.bias.any()  # torch's start has biases
    convolution = copy.branch.get_submodule("stage4.0.0")
    assert isinstance(convolution, nn.Conv2d)
    expected = (2 / (9 * convolution.out_channels)) ** 0.5
    assert convolution.weight.std().item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("head", ["sepatt", "sepatt_strided"])
def test_where_vggs_last_stage_keeps_the_size_the_heads_differ(head: str) -> None:
    built = multi("vgg8", head, 32)
    convolutions = [len(list(built.head(place).children())) - 3 for place in built.heads_at]
    assert convolutions == ([3, 2, 1] if head == "sepatt" else [2, 1, 0])
    alike = multi("resnet8", head)
    assert [len(list(alike.head(place).children())) - 3 for place in alike.heads_at] == [2, 1]


# -- places --------------------------------------------------------------------------------------


def test_an_exit_is_called_by_its_stage_whichever_others_there_are() -> None:
    everywhere, built = multi("vgg8", "sepatt", 16), multi("vgg8", "sepatt", 16, (1, 3))
    assert built.places == (1, 3, 4)
    assert everywhere.places == (1, 2, 3, 4)
    assert [part for part in built.parts() if "exits" in part] == ["exits.1", "exits.3"]
    missing = {n for n in everywhere.state_dict() if n.startswith("exits.1.")}
    assert everywhere.state_dict().keys() - missing == built.state_dict().keys()
    built.load_state_dict({n: t for n, t in copied(everywhere).items() if n not in missing})
    images = torch.randn(3, 1, 16, 16)
    first, _, third, last = everywhere(images).exits
    assert all(map(torch.equal, built(images).exits, (first, third, last)))
    assert len(built.classifiers()) == 3


def test_where_not_all_stages_run_neither_do_their_exits() -> None:
    built = multi("vgg8", "sepatt", 16, (1, 3))
    images = torch.randn(3, 1, 16, 16)
    first, third, _ = built(images).exits
    for depth, expected in ((1, [first]), (2, [first]), (3, [first, third])):
        built.run_to(depth)
        found = built(images)
        assert all(map(torch.equal, found.exits, expected))
        assert len(found.exits) == len(expected)
        assert torch.equal(found.logits, expected[-1])


@pytest.mark.parametrize(
    ("moving", "depth"),
    [({"exits.1"}, 1), ({"exits.3"}, 3), ({"stage2", "exits.3"}, 3), ({"stage2", "exits.1"}, None)],
)
def test_a_phase_runs_to_the_stage_of_its_deepest_exit(moving: set[str], depth: int | None) -> None:
    built = multi("vgg8", "linear", 16, (1, 3))
    assert deepest_exit([*built.parts()], built.stages, moving) == depth


@pytest.mark.parametrize("places", [(0,), (3,), (2, 1), (1, 1), (-1, 1)])
def test_places_that_are_none_are_refused(places: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="places"):
        multi("resnet8", "linear", 8, places)


# -- cuts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", ["sepatt", "deepcopy"])
def test_a_cut_network_answers_as_its_exit_did(name: str, head: str, tmp_path: Path) -> None:
    images = torch.randn(5, 1, 17, 17)
    built = multi(name, head, 17)
    built.train()(images)  # running statistics of its own
    with torch.no_grad():
        expected = built.eval()(images).exits[1]
    alone = costs(built, architecture(name, exits=head, image_size=17))[1]
    whole = copied(built)
    cut = cut_at(built, 2)
    shape = architecture(name, exits=head, image_size=17, cut=2)
    save_network(cut, shape, tmp_path / "model")
    back, stated = load_network(tmp_path / "model")
    assert stated == shape
    with torch.no_grad():
        found = back.eval()(images)
    assert torch.equal(found.answer, expected)
    assert torch.equal(found.logits, expected)
    assert found.exits == ()
    kept = ("backbone.stem.", "backbone.stage1.", "backbone.stage2.", "exits.1.")
    assert copied(back).keys() == {name for name in whole if name.startswith(kept)}
    (row,) = costs(back, shape)
    assert {key: row[key] for key in ("parameters", "macs")} == {
        key: alone[key] for key in ("parameters", "macs")
    }


def test_a_cut_network_can_go_on_learning() -> None:
    cut = cut_at(multi("resnet8", "sepatt"), 2)
    out = cut.train()(torch.randn(6, 1, 8, 8))
    assert out.pooled.shape == (6, 8)
    out.answer.square().sum().backward()
    assert all(p.grad is not None for p in cut.parameters())
    held = {id(p) for part in cut.parts().values() for p in part.parameters()}
    assert held == {id(p) for p in cut.parameters()}
    assert [layer.out_features for layer in cut.classifiers()] == [4]


@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_cut_where_there_is_no_exit_is_refused(place: int) -> None:
    with pytest.raises(ValueError, match=f"no exit at stage {place}"):
        cut_at(multi("resnet8", "linear", 8, (1,)), place)
    with pytest.raises(ValueError, match="no exit"):
        cut_at(network(), 1)
