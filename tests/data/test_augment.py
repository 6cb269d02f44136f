"""Augmentations: functions of (seed, epoch, index), true to torchvision, of the right spread."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import beta
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from stagewise.data import augment
from stagewise.data import autoaugment as auto
from stagewise.data import randaugment as rand
from stagewise.data.augment import (
    Mixed,
    cutmix,
    mix,
    mixup,
    resample,
    rotate,
    rotation,
    uniform,
)
from stagewise.data.autoaugment import OPERATIONS, POLICY, SIGNED, apply, autoaugment, degree_of
from stagewise.data.randaugment import FUNCTIONS, RANGES, cutout, randaugment

COUNT = 12

torch.set_num_threads(1)


def smooth_images(count: int = COUNT, size: int = 32, channels: int = 3) -> Tensor:
    """Images whose neighbouring pixels are alike, as in photographs."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 5, 5, generator=generator) * 255
    return functional.resize(coarse, [size, size]).byte()


AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "rotate": lambda images, *key: rotate(images, *key, degrees=20),
    "mixup share": lambda images, *key: mixup(images, *key, alpha=0.4).share,
    "autoaugment": autoaugment,
    "cutmix share": lambda images, *key: cutmix(images, *key, alpha=0.4).share,
    "share of either": lambda images, *key: mix(images, *key, mixup_by=0.4, cutmix_by=2).share,
    "randaugment": randaugment,
    "cutout": cutout,
}


@pytest.mark.parametrize("change", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_an_image_fares_the_same_in_every_batch(change: Callable[..., Tensor]) -> None:
    images, index = smooth_images(), torch.arange(COUNT) * 7
    whole = change(images, 3, 5, index)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    assert torch.equal(change(images[order], 3, 5, index[order]), whole[order])
    for size in (1, 7):
        parts = zip(images.split(size), index.split(size), strict=True)
        assert torch.equal(torch.cat([change(i, 3, 5, n) for i, n in parts]), whole)


@pytest.mark.parametrize("change", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_seed_and_epoch_and_nothing_else_change_it(change: Callable[..., Tensor]) -> None:
    images, index = smooth_images(), torch.arange(COUNT)
    first = change(images, 3, 5, index)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(change(images, 3, 5, index), first)
    torch.set_rng_state(state)
    assert not torch.equal(change(images, 4, 5, index), first)
    assert not torch.equal(change(images, 3, 6, index), first)
    assert not torch.equal(change(images, 5, 3, index), first)


def test_numbers_are_uniform_and_independent() -> None:
    numbers = uniform(0, 4294967295, 100000, torch.arange(100_000), 3)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    share = torch.stack([numbers[:, draw].histc(20, 0, 1) for draw in range(3)]) / 5000
    assert (share - 1).abs().max() < 0.06
    others = [uniform(1, 4294967295, 100000, torch.arange(100_000), 1)]
    others += [
        uniform(0, seed, epoch, torch.arange(100_000), 1) for seed, epoch in [(0, 0), (0, 1)]
    ]
    table = torch.cat([numbers, *others], 1).T
    assert (torch.corrcoef(table) - torch.eye(6)).abs().max() < 0.015


# -- rotation, mixup -----------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [90.0, 180.0, -90.0])
def test_a_right_angle_is_exact(degrees: float) -> None:
    images = smooth_images()
    turned = resample(images, rotation(torch.full((COUNT,), degrees)))
    assert torch.equal(turned, images.rot90(round(degrees / 90) % 4, (2, 3)))


def test_a_rotation_is_that_of_torchvision() -> None:
    images = smooth_images()
    for degrees in (-20.0, 7.5, 33.0):
        turned = resample(images, rotation(torch.full((COUNT,), degrees)))
        assert agreement(turned, functional.rotate(images, degrees)) > 0.98


def test_angles_stay_within_the_limit_and_go_both_ways() -> None:
    count = 1000
    line = torch.zeros(count, 1, 65, 65, dtype=torch.uint8)
    line[:, :, 31:34, 61:64] = 255  # 30 pixels to the right of the centre
    turned = rotate(line, 0, 0, torch.arange(count), degrees=20)
    assert turned.dtype == torch.uint8
    rows = (turned > 0).float().sum((1, 3))
    height = 32 - (rows * torch.arange(65)).sum(1) / rows.sum(1)
    assert height.abs().max().item() == pytest.approx(30 * 0.342, abs=0.5)
    assert height.mean().abs() < 0.6
    assert height.std().item() == pytest.approx(30 * 0.342 / 3**0.5, rel=0.05)
    assert rotate(line.float(), 0, 0, torch.arange(count), degrees=20).dtype == torch.float32


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_mixes_each_image_with_one_other(alpha: float) -> None:
    images, index = smooth_images(), torch.arange(COUNT)
    mixed = mixup(images, 0, 0, index, alpha=alpha)
    assert sorted(mixed.partner.tolist()) == index.tolist()
    assert (mixed.partner != index).all()
    own = mixed.share.view(-1, 1, 1, 1)
    expected = own * images + (1 - own) * images[mixed.partner]
    torch.testing.assert_close(mixed.images, expected)
    share = mixup(torch.zeros(20_000, 1, 1, 1), 0, 0, torch.arange(20_000), alpha=alpha).share
    assert share.min() >= 0
    assert share.max() <= 1
    assert share.mean().item() == pytest.approx(0.5, abs=0.02)
    assert share.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


MIXES: dict[str, Callable[..., Mixed]] = {
    "mixup": lambda *given: mixup(*given, alpha=1.0),
    "cutmix": lambda *given: cutmix(*given, alpha=1.0),
    "either": lambda *given: mix(*given, mixup_by=1.0, cutmix_by=1.0),
}


@pytest.mark.parametrize("mixes", MIXES.values(), ids=MIXES)
def test_partners_follow_the_images_when_a_batch_is_reordered(mixes: Callable[..., Mixed]) -> None:
    images, index = smooth_images(), torch.arange(COUNT)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    one = mixes(images, 0, 0, index)
    other = mixes(images[order], 0, 0, index[order])
    assert torch.equal(other.images, one.images[order])


def pasted(mixed: Mixed, count: int, height: int, width: int) -> Tensor:
    """(B, H, W): where an image that is 0 shows its partner, which is 1 everywhere else."""
    assert mixed.images.shape == (count, 1, height, width)
    return mixed.images[:, 0] != torch.arange(count, dtype=torch.uint8)[:, None, None]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (10, 25)])
def test_cutmix_pastes_a_box_of_one_other_image_and_counts_its_pixels(
    height: int, width: int
) -> None:
    count = 200
    flat = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, height, width)
    mixed = cutmix(flat, 0, 0, torch.arange(count), alpha=1.0)
    assert mixed.images.dtype == torch.uint8
    assert sorted(mixed.partner.tolist()) == list(range(count))
    assert (mixed.partner != torch.arange(count)).all()
    there = pasted(mixed, count, height, width)
    assert torch.equal(mixed.images[:, 0][there], mixed.partner[torch.where(there)[0]].byte())
    rows, columns = there.any(2), there.any(1)
    assert torch.equal(there, rows[:, :, None] & columns[:, None])
    for line in (*rows, *columns):  # without gaps
        assert (line.int().diff() == 1).sum() + line[0] <= 1
    share = 1 - there.sum((1, 2)) / (height * width)
    assert torch.equal(mixed.share, share)
    assert 0 < (mixed.share == 1).sum() < count / 5, "a box may be smaller than two pixels"


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_box_of_cutmix_is_torchvisions(alpha: float) -> None:
    """Its formula, line by line, from the same draws; the mean of the shares from others."""
    count, height, width = 500, 20, 32
    flat = torch.arange(count, dtype=torch.int32).view(-1, 1, 1, 1).expand(-1, 1, height, width)
    index = torch.arange(count)
    mixed = cutmix(flat, 3, 4, index, alpha=alpha)
    there = mixed.images[:, 0] != flat[:, 0]
    drawn = uniform(augment.CUTMIX, 3, 4, index, 4).double()
    kept = beta.ppf(drawn[:, 1].numpy(), alpha, alpha)
    for box, lam, x, y in zip(there, kept, drawn[:, 2], drawn[:, 3], strict=True):
        middle_x, middle_y = int(x * width), int(y * height)
        half = 0.5 * math.sqrt(1 - lam)
        half_x, half_y = int(half * width), int(half * height)
        if min(abs(half * side % 1 - 0.5) for side in (width, height)) > 0.49:
            continue  # the table of quantiles is not so exact
        expected = torch.zeros(height, width, dtype=torch.bool)
        expected[
            max(middle_y - half_y, 0) : middle_y + half_y,
            max(middle_x - half_x, 0) : middle_x + half_x,
        ] = True
        assert torch.equal(box, expected)
    theirs = v2.CutMix(alpha=alpha, num_classes=2)
    torch.manual_seed(0)
    pair = torch.stack([torch.zeros(1, height, width), torch.ones(1, height, width)])
    shares = torch.stack([1 - theirs(pair, torch.tensor([0, 1]))[0][0].mean() for _ in range(2000)])
    many = cutmix(pair[:1].expand(20_000, -1, -1, -1), 0, 0, torch.arange(20_000), alpha=alpha)
    assert many.share.mean().item() == pytest.approx(shares.mean().item(), abs=0.03)
    assert many.share.std().item() == pytest.approx(shares.std().item(), abs=0.03)


def test_of_two_mixes_each_image_takes_one_at_even_odds() -> None:
    count = 2000
    images, index = smooth_images(count, size=8), torch.arange(count)
    both = mix(images, 0, 0, index, mixup_by=0.4, cutmix_by=2.0)
    blend, cut = mixup(images, 0, 0, index, alpha=0.4), cutmix(images, 0, 0, index, alpha=2.0)
    took = {
        name: (both.share == one.share) & (both.partner == one.partner)
        for name, one in (("mixup", blend), ("cutmix", cut))
    }
    assert (took["mixup"] ^ took["cutmix"]).all()
    assert took["mixup"].float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(both.images[took["mixup"]], blend.images[took["mixup"]])
    assert torch.equal(both.images[took["cutmix"]], cut.images[took["cutmix"]].float())
    alone = mix(images, 0, 0, index, mixup_by=0.0, cutmix_by=2.0)
    assert torch.equal(alone.images, cut.images)
    assert torch.equal(mix(images, 0, 0, index, mixup_by=0.4, cutmix_by=0).images, blend.images)


# -- AutoAugment ---------------------------------------------------------------------------------


def agreement(one: Tensor, other: Tensor, within: int = 1) -> float:
    """Share of pixels that differ by ``within`` grey levels at most."""
    return ((one.int() - other.int()).abs() <= within).float().mean().item()


def original() -> Any:
    return v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)


def test_the_policy_is_the_published_one() -> None:
    levels = [tuple((n, p, level or 0) for n, p, level in pair) for pair in original()._policies]
    assert levels == POLICY


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_degrees_are_those_of_torchvision(name: str) -> None:
    images = smooth_images()
    magnitudes, signed = original()._AUGMENTATION_SPACE[name]
    assert signed == (name in SIGNED)
    number = list(OPERATIONS).index(name)
    for level in (0, 3, 9):
        table = magnitudes(10, 32, 32)
        theirs = 0.0 if table is None else float(table[level])
        ours = degree_of(name, level, 32)
        if table is not None:
            scale = 255 if name == "Solarize" else 1
            whole = int(theirs) if name.startswith("Translate") else theirs
            assert ours == pytest.approx(scale * whole, abs=1e-4)
        expected = original()._apply_image_or_video_transform(
            images, name, theirs, functional.InterpolationMode.NEAREST, {}
        )
        mirrored = original()._apply_image_or_video_transform(
            images, name, -theirs if signed else theirs, functional.InterpolationMode.NEAREST, {}
        )
        found = apply(images, torch.full((COUNT,), number), torch.full((COUNT,), ours))
        assert found.dtype == torch.uint8
        # the direction is drawn, so which of the two is called positive does not matter
        assert max(agreement(found, expected), agreement(found, mirrored)) > 0.97


def test_every_pair_and_step_is_drawn_as_often_as_it_should(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Tensor] = []

    def record(images: Tensor, operation: Tensor, degree: Tensor) -> Tensor:
        drawn.append(torch.stack([operation.float(), degree]))
        return images

    monkeypatch.setattr(auto, "apply", record)
    count = 50_000
    autoaugment(torch.zeros(count, 3, 1, 32, dtype=torch.uint8), 0, 0, torch.arange(count))
    names = list(OPERATIONS)
    for step, (operation, degree) in enumerate(drawn):
        for name in names:
            expected = sum(pair[step][1] for pair in POLICY if pair[step][0] == name) / 25
            chosen = operation == names.index(name)
            assert chosen.float().mean().item() == pytest.approx(expected, abs=0.008)
            if name in SIGNED and expected:
                moved = degree[chosen & (degree != 0)]
                assert (moved > 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_grey_images_are_augmented_too() -> None:
    images = smooth_images(channels=1)
    done = autoaugment(images, 0, 0, torch.arange(COUNT))
    assert (done.shape, done.dtype) == (images.shape, torch.uint8)
    assert not torch.equal(done, images)


# -- RandAugment, Cutout -------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations_of_randaugment_are_torchvisions(name: str) -> None:
    images = smooth_images()
    number, (low, high) = list(FUNCTIONS).index(name), RANGES[name]
    for share in (0.0, 0.3, 0.9):
        value = low + share * (high - low)
        degree = round(32 * value) if name.startswith("Translate") else value
        theirs = {"Posterize": int(degree), "Solarize": degree / 255}.get(name, degree)
        expected = v2.RandAugment()._apply_image_or_video_transform(
            images, name, theirs, functional.InterpolationMode.NEAREST, {}
        )
        mirrored = (
            v2.RandAugment()._apply_image_or_video_transform(
                images, name, -theirs, functional.InterpolationMode.NEAREST, {}
            )
            if low == -high and low
            else expected
        )
        degrees = torch.full((COUNT,), float(degree))
        found = apply(images, torch.full((COUNT,), number), degrees, FUNCTIONS)
        assert found.dtype == torch.uint8
        # the range holds both directions, so which of them is called positive does not matter
        assert max(agreement(found, expected), agreement(found, mirrored)) > 0.97


def test_randaugment_draws_operations_and_degrees_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Tensor] = []

    def record(images: Tensor, operation: Tensor, degree: Tensor, functions: Any) -> Tensor:
        assert list(functions) == list(FUNCTIONS)
        drawn.append(torch.stack([operation.float(), degree]))
        return images

    monkeypatch.setattr(rand, "apply", record)
    count = 50_000
    randaugment(torch.zeros(count, 3, 1, 40, dtype=torch.uint8), 0, 0, torch.arange(count))
    assert len(drawn) == 2
    names = [*FUNCTIONS, "Identity"]  # the last is -1
    for operation, degree in drawn:
        for number, name in enumerate(names):
            chosen = operation == (number if name in FUNCTIONS else -1)
            assert chosen.float().mean().item() == pytest.approx(1 / 14, abs=0.008)
            unit = 40 if name.startswith("Translate") else 1
            low, high = (unit * limit for limit in RANGES[name])
            assert degree[chosen].min().item() == pytest.approx(low, abs=(high - low) / 100)
            assert degree[chosen].max().item() == pytest.approx(high, abs=(high - low) / 100)
            middle = degree[chosen].mean().item()
            assert middle == pytest.approx((low + high) / 2, abs=(high - low) / 40)
    one, other = (operation for operation, _ in drawn)
    assert (one == other).float().mean().item() == pytest.approx(1 / 14, abs=0.008)


def test_cutout_leaves_a_hole_of_at_most_half_the_side_anywhere() -> None:
    count, size = 5000, 20
    holes = cutout(torch.ones(count, 2, size, size), 0, 0, torch.arange(count)) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    hole = holes[:, 0]
    rows, columns = hole.any(2), hole.any(1)
    assert torch.equal(hole, rows[:, :, None] & columns[:, None])
    sides = rows.sum(1)
    assert set(sides.tolist()) == set(range(size // 2 + 1))
    seen = hole.float().mean(0)
    assert seen.min() > 0
    assert seen[size // 2, size // 2].item() == pytest.approx(seen.max().item(), abs=0.02)


def test_a_strong_view_of_grey_images_is_made_too() -> None:
    images = smooth_images(channels=1)
    done = randaugment(images, 0, 0, torch.arange(COUNT))
    assert (done.shape, done.dtype) == (images.shape, torch.uint8)
    assert not torch.equal(done, images)
