"""Costs: multiply-adds against a count by hand, and of each exit alone."""

import pytest
import torch
from helpers import architecture, network

from stagewise.models.cost import costs, layer_macs, total_macs
from stagewise.models.store import Architecture


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
@pytest.mark.parametrize("head", ["linear", "sepatt"])
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


def test_an_exit_counts_what_runs_for_it_alone() -> None:
    shape: Architecture = architecture(exits="linear")
    built = network(exits="linear")
    first, second, *_ = costs(built, shape)
    layers = layer_macs(built, shape)
    stem_and_stage1 = 4 * 9 * 64 + 2 * 4 * 4 * 9 * 64
    assert first["macs"] == stem_and_stage1 + 4 * 4
    stage2 = sum(n for name, n in layers.items() if name.startswith("backbone.stage2."))
    assert second["macs"] == stem_and_stage1 + stage2 + 8 * 4
