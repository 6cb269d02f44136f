"""Networks: sizes pinned against the CRD benchmark's, taps by name, parts that hold everything."""

from collections import Counter

import pytest
import torch
from helpers import architecture, copied, network
from torch.nn.functional import relu

from stagewise.catalogue import networks
from stagewise.evaluation.cost import total_macs
from stagewise.models.store import Architecture, build

# name, width → parameters and MACs at 32x32 pixels with 100 classes; in millions as published
# (shared/design/science.md, section 1.2), and exactly.
PINNED = {
    ("resnet20", 16): (0.278, 40.8, 278_324, 40_818_944),
    ("resnet32", 16): (0.473, 69.1, 472_756, 69_130_496),
    ("resnet56", 16): (0.862, 125.8, 861_620, 125_753_600),
    ("resnet110", 16): (1.737, 253.2, 1_736_564, 253_155_584),
    ("vgg8", 64): (3.965, 96.2, 3_965_028, 96_192_512),
    ("vgg13", 64): (9.462, 284.9, 9_462_180, 284_936_192),
}
FAMILIES = ["resnet8", "vgg8"]
HEADS = [None, "linear", "sepatt"]


@pytest.mark.parametrize(("name", "width"), PINNED)
def test_parameters_and_macs_are_the_published_ones(name: str, width: int) -> None:
    shape = Architecture(name, {"width": width}, classes=100, channels=3, image_size=32)
    built = build(shape, seed=0)
    parameters = sum(p.numel() for p in built.parameters())
    macs = total_macs(built, shape)
    millions = (round(parameters / 1e6, 3), round(macs / 1e6, 1))
    assert (*millions, parameters, macs) == PINNED[name, width]


TAPS = {
    "resnet8": {"stem": (16, 32), "stage1": (16, 32), "stage2": (32, 16), "stage3": (64, 8)},
    "vgg8": {
        "stem": (64, 32),
        "stage1": (128, 16),
        "stage2": (256, 8),
        "stage3": (512, 4),
        "stage4": (512, 4),
    },
}


@pytest.mark.parametrize("name", FAMILIES)
def test_taps_have_the_benchmarks_shapes(name: str) -> None:
    shape = Architecture(name, {}, classes=100, channels=3, image_size=32)
    built = build(shape, seed=0)
    out = built(torch.randn(2, 3, 32, 32))
    expected = {stage: (2, channels, side, side) for stage, (channels, side) in TAPS[name].items()}
    expected |= {f"{stage}.pre": size for stage, size in expected.items()}
    assert {tap: tuple(value.shape) for tap, value in out.taps.items()} == expected
    assert built.stages == tuple(TAPS[name])[1:]
    assert out.pooled.shape == (2, TAPS[name][built.stages[-1]][0])
    assert out.logits.shape == (2, 100)
    assert out.exits == ()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tap_is_its_pre_activation_rectified(name: str) -> None:
    built = network(name).eval()
    out = built(torch.randn(2, 1, 8, 8))
    for stage in ("stem", *built.stages):
        assert torch.equal(out.taps[stage], relu(out.taps[f"{stage}.pre"]))
        assert (out.taps[f"{stage}.pre"] < 0).any()
    assert torch.allclose(out.pooled, out.taps[built.stages[-1]].mean((2, 3)))
    assert torch.allclose(out.logits, built.classifier(out.pooled))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("exits", HEADS)
def test_parts_hold_every_parameter_once(name: str, exits: str | None) -> None:
    built = network(name, exits=exits)
    held = Counter(id(p) for part in built.parts().values() for p in part.parameters())
    assert held == Counter(id(p) for p in built.parameters())
    norms = Counter(id(m) for part in built.parts().values() for m in part.modules())
    assert all(norms[id(m)] == 1 for m in built.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert ("exits" in built.parts()) == (exits is not None)


@pytest.mark.parametrize("name", sorted(networks()))
def test_every_network_of_the_zoo_builds(name: str) -> None:
    built = network(name).eval()
    assert built(torch.randn(2, 1, 8, 8)).logits.shape == (2, 4)
    assert set(built.stages) < built.parts().keys()


def test_a_seed_gives_the_same_weights() -> None:
    first, second, other = network(seed=3), network(seed=3), network(seed=4)
    for name, tensor in copied(first).items():
        assert torch.equal(tensor, second.state_dict()[name])
    convolutions = [name for name, p in first.named_parameters() if p.dim() > 1]
    for name in convolutions:
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("exits", ["linear", "sepatt"])
def test_a_seed_gives_the_same_backbone_with_and_without_exits(name: str, exits: str) -> None:
    alone = copied(network(name, seed=3))
    multi = network(name, seed=3, exits=exits)
    backbone = multi.get_submodule("backbone").state_dict()
    assert all(torch.equal(tensor, backbone[key]) for key, tensor in alone.items())


def test_building_does_not_depend_on_what_was_drawn_before() -> None:
    first = copied(network(exits="sepatt"))
    torch.rand(7)
    assert all(torch.equal(t, first[n]) for n, t in copied(network(exits="sepatt")).items())


def test_networks_are_in_the_channels_last_layout() -> None:
    convolutions = [m for m in network(exits="sepatt").modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)


def test_width_and_classes_are_what_is_asked_for() -> None:
    shape = architecture("vgg8", options={"width": 6}, classes=7, channels=3)
    out = build(shape, 0).eval()(torch.randn(2, 3, 8, 8))
    assert out.taps["stem"].shape[1] == 6
    assert out.logits.shape == (2, 7)
