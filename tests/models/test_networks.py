"""Networks: sizes pinned against the CRD benchmark's, taps by name, parts that hold everything."""

import math
from collections import Counter
from itertools import groupby

import pytest
import torch
from helpers import architecture, copied, network, task_data, whole_batch
from torch import nn
from torch.nn.functional import relu

from stagewise.catalogue import heads, network_fact, networks
from stagewise.models.layers import shuffle
from stagewise.models.store import build
from stagewise.models.zoo import facts

FAMILIES = [next(names) for _, names in groupby(networks(), networks().get)]
"""The first network of each file."""
CONVENTIONAL = [name for name in FAMILIES if name not in ("wrn16-1", "mobilenetv2-crd")]
"""Those whose taps are activated."""
HEADS = [None, *sorted(heads())]

# name → parameters and MACs at 32x32 pixels with 100 classes, in millions, as published: of the
# benchmark's code, and of HSAKD's where it is the same network
PUBLISHED = {
    "resnet20": (0.278, 40.8),
    "resnet32": (0.473, 69.1),
    "resnet56": (0.862, 125.8),
    "resnet110": (1.737, 253.2),
    "resnet8x4": (1.234, 177.1),
    "resnet32x4": (7.434, 1083.0),
    "resnet10": (4.949, 253.5),
    "resnet18": (11.22, 555.5),
    "resnet34": (21.33, 1159.0),
    "resnet50": (23.71, 1298.0),
    "resnet152": (58.34, 3722.0),
    "vgg8": (3.965, 96.2),
    "vgg13": (9.462, 284.9),
    "wrn16-2": (0.703, 101.1),
    "wrn40-1": (0.570, 83.0),
    "wrn40-2": (2.255, 327.6),
    "mobilenetv2-crd": (0.813, 6.5),
    "shufflenetv1-crd": (0.949, 38.7),
    "shufflenetv2-crd": (1.356, 44.5),
}

# name → parameters, MACs at 32 and at 64 pixels, exactly
PINNED = {
    "mobilenetv2-crd": (812_836, 6_523_648, 25_710_592),
    "resnet8": (83_892, 12_507_392, 50_010_368),
    "resnet14": (181_108, 26_663_168, 106_633_472),
    "resnet20": (278_324, 40_818_944, 163_256_576),
    "resnet32": (472_756, 69_130_496, 276_502_784),
    "resnet44": (667_188, 97_442_048, 389_748_992),
    "resnet56": (861_620, 125_753_600, 502_995_200),
    "resnet110": (1_736_564, 253_155_584, 1_012_603_136),
    "resnet10-imagenet": (4_957_092, 18_188_288, 72_599_552),
    "resnet18-imagenet": (11_227_812, 37_062_656, 148_097_024),
    "resnet34-imagenet": (21_335_972, 74_811_392, 299_091_968),
    "resnet50-imagenet": (23_712_932, 83_615_744, 333_848_576),
    "resnet101-imagenet": (42_705_060, 159_375_360, 636_887_040),
    "resnet152-imagenet": (58_348_708, 235_134_976, 939_925_504),
    "resnet10": (4_949_412, 253_478_912, 1_013_762_048),
    "resnet18": (11_220_132, 555_468_800, 2_221_721_600),
    "resnet34": (21_328_292, 1_159_448_576, 4_637_640_704),
    "resnet50": (23_705_252, 1_298_014_208, 5_191_442_432),
    "resnet101": (42_697_380, 2_510_168_064, 10_040_057_856),
    "resnet152": (58_341_028, 3_722_321_920, 14_888_673_280),
    "resnet8x4": (1_233_540, 177_071_104, 708_207_616),
    "resnet32x4": (7_433_860, 1_083_040_768, 4_332_086_272),
    "shufflenetv1-crd": (949_258, 38_691_456, 154_477_824),
    "shufflenetv2-crd": (1_355_528, 44_504_448, 177_710_592),
    "vgg8": (3_965_028, 96_192_512, 271_370_240),
    "vgg11": (9_277_284, 209_438_720, 611_108_864),
    "vgg13": (9_462_180, 284_936_192, 913_098_752),
    "vgg16": (14_774_436, 398_182_400, 1_252_837_376),
    "vgg19": (20_086_692, 511_428_608, 1_592_576_000),
    "wrn16-1": (180_916, 26_663_168, 106_633_472),
    "wrn16-2": (703_284, 101_118_464, 404_435_456),
    "wrn22-2": (1_091_252, 157_741_568, 630_927_872),
    "wrn40-1": (569_780, 83_286_272, 333_125_888),
    "wrn40-2": (2_255_156, 327_610_880, 1_310_405_120),
}


@pytest.mark.parametrize("name", sorted(networks()))
def test_parameters_and_macs_are_the_pinned_ones(name: str) -> None:
    assert (facts(name).parameters, *facts(name).macs.values()) == PINNED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name: str) -> None:
    parameters, macs = PUBLISHED[name]
    assert facts(name).parameters / 1e6 == pytest.approx(parameters, rel=6e-4, abs=6e-4)
    assert facts(name).macs[32] / 1e6 == pytest.approx(macs, rel=5e-3)


# name → channels and pixels of the stem's tap and of each stage's, at 32 pixels
TAPS = {
    "mobilenetv2-crd": [(16, 16), (12, 16), (16, 8), (48, 4), (160, 2)],
    "resnet8": [(16, 32), (16, 32), (32, 16), (64, 8)],
    "resnet10-imagenet": [(64, 16), (64, 8), (128, 4), (256, 2), (512, 1)],
    "resnet10": [(64, 32), (64, 32), (128, 16), (256, 8), (512, 4)],
    "resnet50": [(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)],
    "resnet8x4": [(32, 32), (64, 32), (128, 16), (256, 8)],
    "shufflenetv1-crd": [(24, 32), (240, 16), (480, 8), (960, 4)],
    "shufflenetv2-crd": [(24, 32), (116, 16), (232, 8), (464, 4)],
    "vgg8": [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    "wrn16-1": [(16, 32), (16, 32), (32, 16), (64, 8)],
    "wrn40-2": [(16, 32), (32, 32), (64, 16), (128, 8)],
}


@pytest.mark.parametrize("name", TAPS)
def test_taps_have_the_benchmarks_shapes(name: str) -> None:
    names = ["stem", *(f"stage{n}" for n in range(1, len(TAPS[name])))]
    expected = dict(zip(names, TAPS[name], strict=True))
    expected |= {f"{tap}.pre": shape for tap, shape in expected.items()}
    assert facts(name).taps == expected


def test_every_family_has_its_taps_tested() -> None:
    assert set(FAMILIES) <= set(TAPS)


@pytest.mark.parametrize("name", sorted(networks()))
def test_widths_are_those_of_the_taps(name: str) -> None:
    stem, *stages = (c for tap, (c, _) in facts(name).taps.items() if not tap.endswith(".pre"))
    widths = network_fact(name, "WIDTHS")
    assert [channels * widths[0] for channels in (stem, *stages)] == [
        stem * factor for factor in widths
    ]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("size", [32, 64])
def test_features_on_images_of_either_size(name: str, size: int) -> None:
    built = network(name, channels=3, image_size=size).eval()
    out = built(torch.randn(2, 3, size, size))
    assert out.logits.shape == (2, 4)
    assert out.pooled.shape == (2, built.classifier.in_features)
    assert out.exits == ()
    scale = size // 32
    for tap, (_, side) in facts(name).taps.items():
        pooled_again = name == "vgg8" and size == 64 and tap.startswith("stage4")
        assert out.taps[tap].shape[2] == (side if pooled_again else scale * side), tap
    assert torch.allclose(out.logits, built.classifier(out.pooled))


def test_vgg_pools_a_fourth_time_from_64_pixels_on() -> None:
    sides = [
        network("vgg8")(torch.randn(2, 1, size, size)).taps["stage4"].shape[2]
        for size in (32, 63, 64, 128)
    ]
    assert sides == [4, 7, 4, 8]


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_a_tap_is_its_pre_activation_rectified(name: str) -> None:
    built = network(name).eval()
    out = built(torch.randn(2, 1, 8, 8))
    for stage in ("stem", *built.stages):
        assert torch.equal(out.taps[stage], relu(out.taps[f"{stage}.pre"]))
        assert (out.taps[f"{stage}.pre"] < 0).any()


def test_taps_of_a_wide_resnet_are_raw_and_pre_is_behind_the_norm() -> None:
    built = network("wrn16-1").eval()
    out = built(torch.randn(2, 1, 8, 8))
    norms = [built.get_submodule("stem.1")]
    norms += [built.get_submodule(f"{stage}.1.norm") for stage in built.stages]
    with torch.no_grad():
        for norm in norms:
            norm.get_parameter("bias").add_(0.3)
    moved = built(torch.randn(2, 1, 8, 8))
    for stage, norm in zip(("stem", *built.stages), norms, strict=True):
        assert torch.allclose(moved.taps[f"{stage}.pre"], norm(moved.taps[stage]), atol=1e-6)
        assert (out.taps[stage] < 0).any()
    assert torch.allclose(moved.pooled, relu(moved.taps["stage3.pre"]).mean((2, 3)))
    maps = built.exit_maps(moved.taps)
    assert all(torch.equal(m, relu(moved.taps[f"stage{n}.pre"])) for n, m in enumerate(maps, 1))


def test_stages_of_mobilenetv2_end_linearly() -> None:
    out = network("mobilenetv2-crd").eval()(torch.randn(2, 1, 8, 8))
    for stage in ("stage1", "stage2", "stage3", "stage4"):
        assert out.taps[stage] is out.taps[f"{stage}.pre"]
        assert (out.taps[stage] < 0).any()


def test_a_shuffle_interleaves_groups_and_keeps_the_layout() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 3)
    for layout in (torch.contiguous_format, torch.channels_last):
        out = shuffle(x.contiguous(memory_format=layout), 3)
        assert out[0, :, 0, 0].tolist() == [0, 2, 4, 1, 3, 5]
        assert out.is_contiguous(memory_format=torch.channels_last)


BLOCKS = {
    "mobilenetv2-crd": [3, 3, 7, 4],
    "resnet8": [1, 1, 1],
    "resnet10-imagenet": [1, 1, 1, 1],
    "resnet10": [1, 1, 1, 1],
    "resnet8x4": [1, 1, 1],
    "shufflenetv1-crd": [4, 8, 4],
    "shufflenetv2-crd": [4, 8, 4],
    "vgg8": [1, 1, 1, 1],
    "wrn16-1": [2, 2, 2],
}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_block_is_tapped_on_request_only(name: str) -> None:
    images = torch.randn(2, 1, 8, 8)
    built, multi = network(name).eval(), network(name, exits="linear").eval()
    plain = built(images)
    built.tap_blocks()
    multi.tap_blocks()
    asked = built(images)
    counts = zip(built.stages, BLOCKS[name], strict=True)
    blocks = {f"{stage}.{n}" for stage, count in counts for n in range(count)}
    assert asked.taps.keys() - plain.taps.keys() == blocks
    assert multi(images).taps.keys() == asked.taps.keys()
    assert torch.equal(asked.logits, plain.logits)
    maps = built.exit_maps(asked.taps)
    for stage, count, last in zip(built.stages, BLOCKS[name], maps, strict=True):
        assert torch.equal(asked.taps[f"{stage}.{count - 1}"], last)


@pytest.mark.parametrize("name", [*FAMILIES, "resnet50"])
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    built = network(name)
    out = built(whole_batch(task_data(4)).images)
    assert out.logits.shape == (4, 4)
    assert {"stem", *built.stages, "classifier"} <= built.parts().keys()
    out.logits.square().sum().backward()
    assert [n for n, p in built.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in built.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", sorted(heads()))
def test_half_precision_stays_finite(name: str, head: str) -> None:
    built = network(name, exits=head, image_size=32, channels=3).train()
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        out = built(images)
    assert out.logits.dtype == torch.bfloat16
    assert all(tensor.isfinite().all() for tensor in (*out.taps.values(), *out.exits))


@pytest.mark.parametrize("name", FAMILIES)
def test_maps_are_in_the_channels_last_layout(name: str) -> None:
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    out = network(name, channels=3).eval()(images)
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in out.taps.values())


# -- starts --------------------------------------------------------------------------------------

KAIMING = [name for name in FAMILIES if not name.startswith("shufflenet")]
SMALL_CLASSIFIERS = ("vgg8", "mobilenetv2-crd")


@pytest.mark.parametrize("name", KAIMING)
def test_convolutions_start_as_in_the_benchmark(name: str) -> None:
    built = network(name, options={"width": 8})
    deviations = [
        (p.std().item() * math.sqrt(p[0, 0].numel() * len(p) / 2), p.numel())
        for p in built.parameters()
        if p.dim() == 4
    ]
    total = sum(count for _, count in deviations)
    assert sum(d * count for d, count in deviations) / total == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", SMALL_CLASSIFIERS)
def test_classifiers_start_small_where_they_do_in_the_benchmark(name: str) -> None:
    layer = network(name, classes=50).classifier
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not layer.bias.any()


# sums of the parameters' magnitudes at seed 3, width 4 or less
SUMS = {
    "mobilenetv2-crd": 59500.813,
    "resnet8": 649.837,
    "resnet10-imagenet": 1778.504,
    "resnet10": 1773.457,
    "resnet8x4": 1705.033,
    "shufflenetv1-crd": 56238.488,
    "shufflenetv2-crd": 51238.163,
    "vgg8": 1157.657,
    "wrn16-1": 1303.822,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_seed_draws_the_recorded_weights(name: str) -> None:
    total = sum(p.double().abs().sum().item() for p in network(name, seed=3).parameters())
    assert total == pytest.approx(SUMS[name], abs=2e-3)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("exits", HEADS)
def test_parts_hold_every_parameter_once(name: str, exits: str | None) -> None:
    built = network(name, exits=exits)
    held = Counter(id(p) for part in built.parts().values() for p in part.parameters())
    assert held == Counter(id(p) for p in built.parameters())
    norms = Counter(id(m) for part in built.parts().values() for m in part.modules())
    assert all(norms[id(m)] == 1 for m in built.modules() if isinstance(m, nn.BatchNorm2d))
    assert ("exits.1" in built.parts()) == (exits is not None)


def test_a_seed_gives_the_same_weights() -> None:
    first, second, other = network(seed=3), network(seed=3), network(seed=4)
    for name, tensor in copied(first).items():
        assert torch.equal(tensor, second.state_dict()[name])
    convolutions = [name for name, p in first.named_parameters() if p.dim() > 1]
    for name in convolutions:
        assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("exits", sorted(heads()))
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
    convolutions = [m for m in network(exits="sepatt").modules() if isinstance(m, nn.Conv2d)]
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convolutions)


def test_width_and_classes_are_what_is_asked_for() -> None:
    shape = architecture("vgg8", options={"width": 6}, classes=7, channels=3)
    out = build(shape, 0).eval()(torch.randn(2, 3, 8, 8))
    assert out.taps["stem"].shape[1] == 6
    assert out.logits.shape == (2, 7)
