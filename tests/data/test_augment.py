"""Augmentations: functions of (seed, epoch, index), true to torchvision, of the right spread."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from stagewise.data import autoaugment as auto
from stagewise.data.augment import mixup, resample, rotate, rotation, uniform
from stagewise.data.autoaugment import OPERATIONS, POLICY, SIGNED, apply, autoaugment, degree_of

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
}


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_an_image_fares_the_same_in_every_batch(augment: Callable[..., Tensor]) -> None:
    images, index = smooth_images(), torch.arange(COUNT) * 7
    whole = augment(images, 3, 5, index)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    assert torch.equal(augment(images[order], 3, 5, index[order]), whole[order])
    for size in (1, 7):
        parts = zip(images.split(size), index.split(size), strict=True)
        assert torch.equal(torch.cat([augment(i, 3, 5, n) for i, n in parts]), whole)


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_seed_and_epoch_and_nothing_else_change_it(augment: Callable[..., Tensor]) -> None:
    images, index = smooth_images(), torch.arange(COUNT)
    first = augment(images, 3, 5, index)
    state = torch.get_rng_state()
    torch.manual_seed(99)
    assert torch.equal(augment(images, 3, 5, index), first)
    torch.set_rng_state(state)
    assert not torch.equal(augment(images, 4, 5, index), first)
    assert not torch.equal(augment(images, 3, 6, index), first)
    assert not torch.equal(augment(images, 5, 3, index), first)


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


def test_partners_follow_the_images_when_a_batch_is_reordered() -> None:
    images, index = smooth_images(), torch.arange(COUNT)
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    one = mixup(images, 0, 0, index, alpha=1.0)
    other = mixup(images[order], 0, 0, index[order], alpha=1.0)
    assert torch.equal(other.images, one.images[order])


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
