"""What pruning can reach: MACs by numbers of channels, and targets that are never missed."""

import random
from itertools import product

import pytest
import torch
import torch_pruning as tp

from stagewise.catalogue import network_fact, networks
from stagewise.errors import UserError
from stagewise.models.cost import total_macs
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, build
from stagewise.pruning.reach import Descent, Limits, Reach, Window
from stagewise.runs.reachable import reach_of

PRUNABLE = [name for name in networks() if not network_fact(name, "UNPRUNABLE")]
FAMILIES = sorted({networks()[name]: name for name in reversed(PRUNABLE)}.values())


LIMITS = Limits(1, 0.25)


def reach(name: str = "resnet8", width: int = 2, limits: Limits = LIMITS) -> Reach:
    return reach_of(Architecture(name, {"width": width}, 4, 1, 16), limits)


@pytest.mark.parametrize("name", [*FAMILIES, "resnet50"])
@pytest.mark.parametrize("exits", [None, "sepatt", "scala", "deepcopy"])
def test_macs_are_those_that_a_count_finds(name: str, exits: str | None) -> None:
    shape = Architecture(name, {"width": 4}, 4, 1, 16, exits)
    with torch.device("meta"):
        network, example = build(shape, 0).requires_grad_(True), shape.example()
        graph = tp.DependencyGraph().build_dependency(network, example, output_transform=outputs)
        known = Reach(network, shape, graph, Limits(1, 0.0))
        assert known.macs(known.channels) == total_macs(network, shape)
        assert len(known.roots) > 3
        rng, left = random.Random(0), list(known.channels)
        for number, root in enumerate(known.roots):
            gone = rng.sample(range(left[number]), rng.randint(0, left[number] - 1))
            if gone:
                handler = graph.get_pruner_of_module(root).prune_out_channels
                graph.get_pruning_group(root, handler, gone).prune()
                left[number] -= len(gone)
        assert known.macs(tuple(left)) == total_macs(network, shape)


@pytest.mark.parametrize("limits", [Limits(1, 0.25), Limits(1, 0.25, round_to=4)])
@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.05])
def test_a_search_finds_what_trying_everything_finds(limits: Limits, tolerance: float) -> None:
    known = reach("vgg8", 1, limits)
    every = [known.macs(widths) for widths in product(*known.choices)]
    assert min(every) == known.macs(known.least)
    found = []
    for target in torch.linspace(min(every) * 0.9, max(every), 40).tolist():
        window = Window(target, tolerance)
        exists = any(window.low <= macs <= window.high for macs in every)
        widths = known.within(window, known.channels)
        assert (widths is not None) == exists, target
        found.append(exists)
        if widths:
            assert window.low <= known.macs(widths) <= window.high
            assert all(w in choices for w, choices in zip(widths, known.choices, strict=True))
    assert any(found)
    assert not all(found)


def wander(known: Reach, ratio: float, tolerance: float, seed: int) -> Descent:
    """Narrow groups by any numbers in any order, until the target is met or nothing goes."""
    rng, descent, moved = random.Random(seed), Descent(known, ratio, tolerance), 1
    while moved and descent.macs > descent.window.target:
        moved = 0
        for group in rng.sample(range(len(known.roots)), len(known.roots)):
            if descent.macs > descent.window.target:
                most = rng.randint(1, 1 + descent.channels[group] // 2)
                moved += descent.narrow(group, most) or descent.narrow(group, 1)
    return descent


@pytest.mark.parametrize("name", PRUNABLE)
def test_whatever_goes_first_the_target_is_met_or_refused_beforehand(name: str) -> None:
    known = reach(name, 4, Limits(2, 0.25))
    refused = []
    for ratio in (1.5, 2, 3, 4, 8, 16):
        if known.why_not(ratio, 0.05):
            refused.append(ratio)
            with pytest.raises(UserError, match=f"^pruning: {ratio:g}x fewer MACs cannot"):
                Descent(known, ratio, 0.05)
            continue
        for seed in range(20):
            descent = wander(known, ratio, 0.05, seed)
            assert descent.window.low <= descent.macs <= descent.window.high, (ratio, seed)
    assert refused != [1.5, 2, 3, 4, 8, 16]
    most = known.macs(known.channels) / known.macs(known.least)
    assert 16 in refused or 1.05 * most >= 16


def test_without_a_look_ahead_some_orders_would_miss() -> None:
    """The test above can fail: a pruner that looks at the next step alone gets stuck."""
    known, missed = reach("resnet8", 4, Limits(2, 0.25)), 0
    for seed in range(20):
        rng, widths = random.Random(seed), list(known.channels)
        window = Window(known.macs(known.channels) / 3, 0.01)
        while known.macs(tuple(widths)) > window.target:
            wide = [g for g, width in enumerate(widths) if width > known.least[g]]
            widths[rng.choice(wide)] -= 1
        missed += known.macs(tuple(widths)) < window.low
        descent = wander(known, 3, 0.01, seed)
        assert window.low <= descent.macs <= window.high
    assert missed > 0


def test_why_not_names_the_key_and_a_mend_that_works() -> None:
    known = reach("resnet8", 8, Limits(4, 0.25))
    most = known.macs(known.channels) / known.macs(known.least)
    assert not known.why_not(most, 0.05)
    assert not known.why_not(1.04 * most, 0.05)
    said = known.why_not(1.06 * most, 0.05)
    assert said.startswith(
        "so many channels must stay (recovery.min_share, recovery.min_channels) that"
    )
    assert f"by {most:.2f} at most" in said
    coarse = reach("resnet8", 8, Limits(4, 0.25, round_to=8))
    gaps = {ratio: coarse.why_not(ratio, 0.001) for ratio in (1.2, 1.3, 1.4, 1.6)}
    said = next(text for text in gaps.values() if text)
    assert "recovery.tolerance: 0.001 asks; raise it to 0." in said
    for ratio, text in gaps.items():
        if text:
            assert not coarse.why_not(ratio, float(text.split("raise it to ")[1].split(",")[0]))


def test_limits_round_up_and_never_exceed_a_layer() -> None:
    assert Limits(4, 0.25).least(64) == 16
    assert Limits(4, 0.25).least(18) == 5
    assert Limits(4, 0.25).least(8) == 4
    assert Limits(4, 0.25).least(3) == 3
    assert Limits(4, 0.25, round_to=8).least(64) == 16
    assert Limits(4, 0.25, round_to=4).widths(18) == [8, 12, 16, 18]
    assert Limits(4, 0.25, round_to=8).widths(6) == [6]
