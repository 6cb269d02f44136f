"""Costs: multiply-adds against a count by hand, and of each exit alone."""

import pytest
import torch
from helpers import architecture, network

from stagewise.catalogue import network_options
from stagewise.models.cost import costs, layer_macs, total_macs
from stagewise.models.store import Architecture, build
from stagewise.models.zoo import facts


def test_macs_are_those_counted_by_hand() -> None:
    # resnet8, width 4, one grey channel, 8x8 pixels, 4 classes:
    # outputs x inputs x kernel x pixels of every convolution
    by_hand = {
        "stem.0": 4 * 1 * 9 * 64,
        "stage1.0.first.0": 4 * 4 * 9 * 64,
        "stage1.0.second.0": 4 * 4 * 9 * 64,
        "stage2.0.first.0": 8 * 4 * 9 * 16,
        "stage2.0.second.0": 8 * 8 * 9 * 16,
        "stage2.0.shortcut.0": 8 * 4 * 1 * 16,
        "stage3.0.first.0": 16 * 8 * 9 * 4,
        "stage3.0.second.0": 16 * 16 * 9 * 4,
        "stage3.0.shortcut.0": 16 * 8 * 1 * 4,
        "classifier": 16 * 4,
    }
    assert layer_macs(network(), architecture()) == by_hand
    assert total_macs(network(), architecture()) == sum(by_hand.values())


def test_a_transposed_convolution_counts_each_input_once() -> None:
    built = network(exits="scala")
    macs = layer_macs(built, architecture(exits="scala"))
    # the gate of the first exit: 4 channels; 4x4 from each of 4x4 pixels, half of 8x8
    assert macs["exits.0.0.attention.3"] == 4 * 4 * 16 * 16
    assert macs["exits.0.0.attention.0"] == 4 * 4 * 9 * 16


def test_depthwise_convolutions_count_one_input_channel() -> None:
    built = network(exits="sepatt")
    macs = layer_macs(built, architecture(exits="sepatt"))
    # the gate of the first exit: 4 channels, 3x3, each on its own, at half of 8x8 pixels
    assert macs["exits.0.0.attention.0"] == 4 * 9 * 16
    assert macs["exits.0.0.attention.1"] == 4 * 4 * 16


def test_counting_leaves_the_network_as_it_was() -> None:
    built = network()
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    total_macs(built, architecture())
    assert all(torch.equal(t, built.state_dict()[n]) for n, t in before.items())
    assert all(not module._forward_hooks for module in built.modules())


def test_a_network_with_one_exit_has_one_row() -> None:
    built = network("vgg8")
    (row,) = costs(built, architecture("vgg8"))
    assert row == {
        "exit": "final",
        "parameters": sum(p.numel() for p in built.parameters()),
        "macs": total_macs(built, architecture("vgg8")),
    }


def rows(name: str, head: str, width: int = 16) -> list[tuple[str, int, int]]:
    shape = architecture(name, exits=head, options={"width": width}, image_size=16)
    built = network(name, exits=head, options={"width": width}, image_size=16)
    return [(str(r["exit"]), int(r["parameters"]), int(r["macs"])) for r in costs(built, shape)]


@pytest.mark.parametrize("name", ["resnet8", "vgg8"])
@pytest.mark.parametrize("head", ["linear", "sepatt_strided"])
def test_a_deeper_exit_costs_more(name: str, head: str) -> None:
    found = rows(name, head)
    stages = 3 if name == "resnet8" else 4
    assert [label for label, _, _ in found] == [*map(str, range(1, stages + 1)), "ensemble"]
    assert found == sorted(found, key=lambda row: row[1])
    assert found == sorted(found, key=lambda row: row[2])
    assert len({macs for _, _, macs in found}) == stages + 1


@pytest.mark.parametrize("name", ["resnet8", "vgg8"])
def test_the_ensemble_is_everything_and_the_last_exit_the_backbone(name: str) -> None:
    options = {"options": {"width": 16}, "image_size": 16}
    alone = network(name, **options)
    multi = network(name, exits="sepatt", **options)
    found = {label: (parameters, macs) for label, parameters, macs in rows(name, "sepatt")}
    last = str(len(alone.stages))
    assert found[last] == (
        sum(p.numel() for p in alone.parameters()),
        total_macs(alone, architecture(name, **options)),
    )
    assert found["ensemble"] == (
        sum(p.numel() for p in multi.parameters()),
        total_macs(multi, architecture(name, exits="sepatt", **options)),
    )


@pytest.mark.parametrize("places", [[], [1], [2], [1, 3]])
def test_an_exit_that_is_reached_pays_the_heads_before_it(places: list[int]) -> None:
    shape = architecture("vgg8", exits="sepatt", image_size=16, places=places)
    built = build(shape, 0)
    *exits, ensemble = costs(built, shape)
    early = places or [1, 2, 3]
    assert [row["exit"] for row in exits] == [str(n + 1) for n in range(len(early) + 1)]
    assert [row["stage"] for row in exits] == [f"stage{place}" for place in (*early, 4)]
    sizes = {name: p.numel() for name, p in built.named_parameters()}
    for count, each in (("macs", layer_macs(built, shape)), ("parameters", sizes)):
        heads = [
            sum(n for key, n in each.items() if key.startswith(f"exits.{p - 1}.")) for p in early
        ]
        before = 0
        for row, head in zip(exits, (*heads, 0), strict=True):
            assert row[f"cumulative_{count}"] == int(row[count]) + before
            before += head
        assert exits[-1][f"cumulative_{count}"] == ensemble[count] == sum(each.values())
        assert ensemble[f"cumulative_{count}"] == ensemble[count]


# network → head → parameters and MACs, in millions, that exits add at 32 pixels and 100 classes:
# the design's table, counted from the sources' code before there was any of ours
ADDED: dict[str, dict[str, tuple[float, float]]] = {
    "resnet10": {
        "sepatt": (1.06, 26.6),
        "sep": (0.88, 19.8),
        "scala": (3.94, 118.6),
        "deepcopy": (13.2, 353),
    },
    "resnet18": {
        "sepatt": (1.06, 26.6),
        "sep": (0.88, 19.8),
        "scala": (3.94, 118.6),
        "deepcopy": (30.1, 806),
    },
    "resnet50": {
        "sepatt": (14.7, 409),
        "sep": (11.9, 306),
        "scala": (37.4, 1352),
        "deepcopy": (60.9, 2085),
    },
    "vgg8": {"sepatt": (2.93, 42.0), "sepatt_strided": (1.32, 16.4), "scala": (9.4, 94.8)},
    "wrn16-2": {"sepatt": (0.070, 3.9), "sep": (0.057, 2.7), "scala": (0.53, 42.5)},
}

# the same exactly, of the heads that the table does not have
PINNED = {
    ("resnet18", "bottleneck"): (1_788_716, 39_999_488),
    ("resnet18", "linear"): (3 * 100 + 100 * (64 + 128 + 256), 100 * (64 + 128 + 256)),
    ("vgg8", "sep"): (2_218_284, 35_493_888),
    ("vgg8", "bottleneck"): (813_868, 16_144_384),
    ("vgg8", "deepcopy"): (9_894_444, 170_022_912),
    ("wrn16-2", "bottleneck"): (58_312, 3_433_472),
    ("wrn16-2", "deepcopy"): (1_208_008, 100_688_896),
}


def added(name: str, head: str) -> tuple[int, int]:
    """Parameters and MACs of all but the backbone, whose own are pinned in test_networks.py."""
    shape = Architecture(name, network_options(name), 100, 3, 32, head)
    with torch.device("meta"):
        *_, backbone, whole = costs(build(shape, 0), shape)
    assert (backbone["parameters"], backbone["macs"]) == (
        facts(name).parameters,
        facts(name).macs[32],
    )
    return (
        int(whole["parameters"]) - int(backbone["parameters"]),
        int(whole["macs"]) - int(backbone["macs"]),
    )


@pytest.mark.parametrize(("name", "head"), [(n, head) for n, of in ADDED.items() for head in of])
def test_exits_cost_what_the_design_says(name: str, head: str) -> None:
    for count, said in zip(added(name, head), ADDED[name][head], strict=True):
        assert count / 1e6 == pytest.approx(said, rel=2e-3, abs=0.05 if said > 1 else 5e-3)


@pytest.mark.parametrize(("name", "head"), PINNED)
def test_exits_cost_the_pinned_amounts(name: str, head: str) -> None:
    assert added(name, head) == PINNED[name, head]


def test_vggs_heads_cost_what_is_counted_by_hand() -> None:
    def half(inputs: int, outputs: int, pixels: int) -> tuple[int, int]:
        weights = 9 * inputs + inputs * outputs
        return weights + 2 * outputs, weights * pixels

    def separable(inputs: int, outputs: int, side: int) -> tuple[int, int]:
        pairs = zip(half(inputs, inputs, side**2), half(inputs, outputs, side**2), strict=True)
        first, second = (sum(pair) for pair in pairs)
        return first, second

    gates = [separable(128, 128, 8), separable(256, 256, 4), separable(512, 512, 2)]
    strided = [separable(128, 256, 8), separable(256, 512, 4), separable(256, 512, 4)]
    last = [separable(512, 512, 4)] * 3  # where the map has its final size
    linear = [(512 * 100 + 100, 512 * 100)] * 3

    def total(*layers: tuple[int, int]) -> tuple[int, int]:
        return sum(p for p, _ in layers), sum(m for _, m in layers)

    assert added("vgg8", "sepatt") == total(*gates, *strided, *last, *linear)
    assert added("vgg8", "sepatt_strided") == total(*gates, *strided, *linear)
    assert added("vgg8", "sep") == total(*strided, *last, *linear)


def test_an_exit_counts_what_runs_for_it_alone() -> None:
    shape: Architecture = architecture(exits="linear")
    built = network(exits="linear")
    first, second, *_ = costs(built, shape)
    layers = layer_macs(built, shape)
    stem_and_stage1 = 4 * 9 * 64 + 2 * 4 * 4 * 9 * 64
    assert first["macs"] == stem_and_stage1 + 4 * 4
    stage2 = sum(n for name, n in layers.items() if name.startswith("backbone.stage2."))
    assert second["macs"] == stem_and_stage1 + stage2 + 8 * 4
