"""The optimiser is torch's, bit for bit; schedules are those of the papers."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from stagewise.training.schedules import SCHEDULES, warmed
from stagewise.training.sgd import SGD

SHAPES = [(4, 3, 3, 3), (4,), (7, 5), (1,)]


def parameters() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_(True) for shape in SHAPES]


@pytest.mark.parametrize("weight_decay", [0.0, 0.0005, 0.1])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("fused", [False, True])
def test_sgd_is_torchs_bit_for_bit(
    weight_decay: float, momentum: float, nesterov: bool, fused: bool
) -> None:
    """With a number as the rate its ``foreach``, with a tensor its ``fused``."""
    ours, theirs = parameters(), parameters()
    how: dict[str, Any] = {"momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
    own = SGD({1.0: ours}, **how)
    reference = torch.optim.SGD(theirs, lr=1.0, foreach=not fused, fused=fused, **how)
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        lr = 0.1 / (step + 1)
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            # one parameter gets no gradient at first (torch's fused one cannot), another never
            if number == 3 or (number == 1 and step < 2 and not fused):
                continue
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        rate = torch.tensor(lr) if fused else lr
        own.step(rate)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad()
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine, other)
    assert torch.equal(ours[3], parameters()[3])


def test_a_step_drops_all_gradients() -> None:
    weights = parameters()
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    SGD({1.0: weights}, momentum=0.9, weight_decay=0.1).step(0.1)
    assert all(weight.grad is None for weight in weights)


def test_a_step_without_gradients_moves_nothing() -> None:
    weights = parameters()
    SGD({1.0: weights}, momentum=0.9, weight_decay=0.1).step(0.1)
    assert all(torch.equal(a, b) for a, b in zip(weights, parameters(), strict=True))


def test_frozen_parameters_are_left_out() -> None:
    weights = parameters()
    weights[0].requires_grad_(False)
    optimiser = SGD({1.0: weights}, momentum=0.9, weight_decay=0.1)
    (group,) = optimiser.groups
    assert [id(p) for p in group.parameters] == [id(p) for p in weights[1:]]


@pytest.mark.parametrize("factor", [0.1, 2.0])
def test_a_factor_scales_the_rate_of_its_group_alone(factor: float) -> None:
    scaled, plain, slow = parameters(), parameters(), parameters()
    for weights in (scaled, plain, slow):
        for weight in weights:
            weight.grad = torch.ones_like(weight)
    both = SGD({factor: scaled, 1.0: plain}, momentum=0.9, weight_decay=0.1)
    alone = SGD({1.0: slow}, momentum=0.9, weight_decay=0.1)
    both.step(0.5)
    alone.step(0.5 * factor)
    assert all(torch.equal(a, b) for a, b in zip(scaled, slow, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(scaled, plain, strict=True))


@pytest.mark.parametrize("clip", [0.5, 5.0, 1000.0])
@pytest.mark.parametrize("fused", [False, True])
def test_clipping_is_torchs_over_all_that_moves(clip: float, fused: bool) -> None:
    """One norm for all groups, whatever their factors; a smaller gradient stays as it is."""
    ours, theirs = parameters(), parameters()
    generator = torch.Generator().manual_seed(1)
    for mine, other in zip(ours[:3], theirs, strict=False):
        mine.grad = torch.randn(mine.shape, generator=generator)
        other.grad = mine.grad.clone()
    how = {"momentum": 0.9, "weight_decay": 0.1}
    groups = [{"params": theirs[:2], "lr": 0.05}, {"params": theirs[2:], "lr": 0.1}]
    reference = torch.optim.SGD(groups, foreach=not fused, fused=fused, **how)
    torch.nn.utils.clip_grad_norm_(theirs, clip)
    reference.step()
    optimiser = SGD({0.5: ours[:2], 1.0: ours[2:]}, clip=clip, **how)
    optimiser.step(torch.tensor(0.1) if fused else 0.1)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    [unclipped] = {float(torch.cat([t.grad.flatten() for t in theirs[:3]]).norm()) <= clip + 1e-4}
    assert unclipped


def test_warm_up_rises_evenly_and_leaves_the_rest() -> None:
    factors = [warmed(done, 5, 4, 0.2) for done in range(20)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, *[1.0] * 16])
    assert {warmed(done, 5, 4, 0.0) for done in range(20)} == {1.0}


def test_constant_is_constant() -> None:
    assert {SCHEDULES["constant"](done, 5, 2) for done in range(10)} == {1.0}


@pytest.mark.parametrize(
    ("done", "factor"), [(0, 1), (5, (1 + math.sqrt(0.5)) / 2), (10, 0.5), (20, 0)]
)
def test_cosine_falls_from_1_to_0(done: int, factor: float) -> None:
    assert SCHEDULES["cosine"](done, 5, 4) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("epoch", "factor"),
    [(0, 1), (149, 1), (150, 0.1), (179, 0.1), (180, 0.01), (209, 0.01), (210, 0.001), (239, 1e-3)],
)
def test_steps_are_those_of_the_crd_recipe(epoch: int, factor: float) -> None:
    first, last = 782 * epoch, 782 * (epoch + 1) - 1
    assert SCHEDULES["steps"](first, 782, 240) == pytest.approx(factor)
    assert SCHEDULES["steps"](last, 782, 240) == pytest.approx(factor)


def test_steps_of_a_short_training_fall_between_epochs() -> None:
    """Where a share of the epochs is no whole number, the nearest is taken, halves upwards."""
    rates = [SCHEDULES["steps"](done, 3, 10) for done in range(30)]
    expected = [1.0] * 18 + [0.1] * 6 + [0.01] * 3 + [0.001] * 3
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("milestones", [(150.0, 180.0, 210.0), (0.3125, 0.375, 0.4375)])
def test_milestones_are_epochs_or_shares_of_them(milestones: tuple[float, ...]) -> None:
    """MLKD's: most of its 480 epochs have a thousandth of the rate."""
    rates = [SCHEDULES["steps"](7 * epoch, 7, 480, milestones) for epoch in range(480)]
    expected = [1.0] * 150 + [0.1] * 30 + [0.01] * 30 + [0.001] * 270
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_other_schedules_have_no_milestones(name: str) -> None:
    for done in range(12):
        assert SCHEDULES[name](done, 3, 4, (2.0,)) == SCHEDULES[name](done, 3, 4)
