"""Batches: each image once an epoch, its view a function of seed, epoch and index alone."""

from itertools import islice
from typing import Any

import pytest
import torch
from helpers import SIZE, task_data
from torch import Tensor

from stagewise.data.batches import TaskData, TrainingBatches
from stagewise.study.spec import Training


def batches(
    data: TaskData, *, seed: int = 0, batch_size: int = 5, crop: int = 1, flip: bool = True
) -> TrainingBatches:
    return TrainingBatches(
        data, seed=seed, settings=Training(batch_size=batch_size, crop=crop, flip=flip)
    )


def drawn(source: TrainingBatches, epoch: int = 0) -> dict[int, int]:
    """Index → view of an epoch."""
    pairs = [(b.index.tolist(), b.view.tolist()) for b in source.epoch(epoch)]
    return {i: v for index, view in pairs for i, v in zip(index, view, strict=True)}


def order(source: TrainingBatches, epoch: int = 0) -> list[int]:
    return [number for batch in source.epoch(epoch) for number in batch.index.tolist()]


def by_hand(data: TaskData, index: int, dy: int, dx: int, crop: int, flip: bool) -> Tensor:
    """A padded, cropped, flipped, normalised image, pixel by pixel."""
    image = torch.zeros(SIZE, SIZE)
    for y in range(SIZE):
        for x in range(SIZE):
            row, column = y + dy - crop, x + dx - crop
            if 0 <= row < SIZE and 0 <= column < SIZE:
                image[y, x] = data.train.images[index, 0, row, column]
    image = (image / 255 - data.mean.item()) / data.std.item()
    return image.flip(1) if flip else image


@pytest.mark.parametrize("batch_size", [4, 5, 16, 100])
def test_an_epoch_visits_each_image_once(batch_size: int) -> None:
    source = batches(task_data(16 if batch_size != 5 else 17), batch_size=batch_size)
    for epoch in range(3):
        assert sorted(order(source, epoch)) == list(range(len(source.data.train.labels)))


def test_labels_belong_to_their_images() -> None:
    data = task_data(16)
    for batch in batches(data).epoch(0):
        assert torch.equal(batch.labels, data.train.labels[batch.index])


def test_the_view_does_not_depend_on_the_batch_size() -> None:
    data = task_data(17)
    expected = drawn(batches(data, batch_size=17), epoch=3)
    for batch_size in (2, 5, 9, 64):
        found = drawn(batches(data, batch_size=batch_size), epoch=3)
        assert found == {index: expected[index] for index in found}
        assert len(found) >= 16


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    data = task_data(16)
    assert order(batches(data, batch_size=4)) == order(batches(data, batch_size=7))


def test_seed_and_epoch_change_views_and_order() -> None:
    data = task_data(64)
    base, seeded = batches(data), batches(data, seed=1)
    assert drawn(base, 0) == drawn(batches(data), 0)
    assert order(base, 0) == order(batches(data), 0)
    assert drawn(base, 0) != drawn(base, 1)
    assert order(base, 0) != order(base, 1)
    assert drawn(base, 0) != drawn(seeded, 0)
    assert order(base, 0) != order(seeded, 0)


def test_an_epoch_needs_none_before_it() -> None:
    source, fresh = batches(task_data(16)), batches(task_data(16))
    list(islice(source.epoch(0), 2))
    list(source.epoch(1))
    torch.manual_seed(5)
    assert drawn(source, 2) == drawn(fresh, 2)


def test_batches_leave_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    list(batches(task_data(16)).epoch(0))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("crop", [0, 1, 2])
@pytest.mark.parametrize("flip", [False, True])
def test_every_view_is_the_crop_made_by_hand(crop: int, flip: bool) -> None:
    data = task_data(3)
    source = batches(data, crop=crop, flip=flip)
    side = 2 * crop + 1
    assert source.views == side * side * (2 if flip else 1)
    for view in range(source.views):
        flipped, shift = divmod(view, side * side)
        dy, dx = divmod(shift, side)
        image = source.images(torch.tensor([1]), torch.tensor([view]))[0, 0]
        expected = by_hand(data, 1, dy, dx, crop, bool(flipped))
        assert torch.allclose(image, expected, atol=1e-6)


def test_batches_hold_the_views_that_they_state() -> None:
    data = task_data(12)
    for batch in batches(data, crop=1, flip=True).epoch(2):
        for image, index, view in zip(batch.images, batch.index, batch.view, strict=True):
            flipped, shift = divmod(int(view), 9)
            expected = by_hand(data, int(index), shift // 3, shift % 3, 1, bool(flipped))
            assert torch.allclose(image[0], expected, atol=1e-6)


def test_all_views_are_drawn_equally_often() -> None:
    source = batches(task_data(64), crop=1, flip=True)
    views = torch.tensor([view for epoch in range(40) for view in drawn(source, epoch).values()])
    shares = torch.bincount(views, minlength=source.views) / len(views)
    assert (shares - 1 / source.views).abs().max() < 0.02


def test_a_last_batch_of_one_image_is_left_out() -> None:
    for count, sizes in ((8, [4, 4]), (9, [4, 4]), (10, [4, 4, 2]), (11, [4, 4, 3])):
        source = batches(task_data(count), batch_size=4)
        assert [len(batch.labels) for batch in source.epoch(0)] == sizes
        assert len(source) == len(sizes)


def test_the_image_left_out_is_another_one_each_epoch() -> None:
    source = batches(task_data(9), batch_size=4)
    left = {(set(range(9)) - set(order(source, epoch))).pop() for epoch in range(12)}
    assert len(left) > 3


def test_normalising_gives_mean_0_and_deviation_1() -> None:
    data = task_data(50)
    images = data.normalise(data.train.images)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=1e-5)
    assert images.std().item() == pytest.approx(1, abs=1e-5)
    assert images.is_contiguous(memory_format=torch.channels_last)


# -- augmentations without end ---------------------------------------------------------------------


def augmented(batch_size: int, **options: Any) -> TrainingBatches:
    settings = Training(batch_size=batch_size, crop=1, flip=True, **options)
    return TrainingBatches(task_data(24), seed=3, settings=settings)


@pytest.mark.parametrize("options", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 2}])
def test_mixed_targets_are_probabilities_of_two_classes(options: dict[str, Any]) -> None:
    batches = augmented(24, **options)
    assert not batches.bounded
    batch = next(batches.epoch(0))
    assert batch.target.shape == (24, 4)
    assert torch.allclose(batch.target.sum(1), torch.ones(24))
    assert ((batch.target > 0).sum(1) <= 2).all()
    assert torch.equal(batch.labels, augmented(24).data.train.labels[batch.index])
    assert len(batch.target.unique()) > 10


def test_targets_of_cutmix_are_shares_of_pixels() -> None:
    batch, plain = next(augmented(24, cutmix=1.0).epoch(0)), next(augmented(24).epoch(0))
    kept = (batch.images == plain.images).float().mean((1, 2, 3))
    own = batch.target.gather(1, batch.labels[:, None])[:, 0]
    others = batch.target.max(1).values < 1  # its partner is of another class
    assert others.sum() > 10
    # random pixels are equal by chance now and then
    assert ((kept - own)[others] >= 0).all()
    assert (kept - own)[others].max() < 0.1


@pytest.mark.parametrize("options", [{"rotation": 20.0}, {"auto_augment": True}])
def test_an_augmented_view_depends_on_seed_epoch_and_image_alone(options: dict[str, Any]) -> None:
    def shown(batch_size: int, epoch: int) -> dict[int, Tensor]:
        batches = augmented(batch_size, **options)
        assert not batches.bounded
        parts = batches.epoch(epoch)
        return {int(i): x for b in parts for i, x in zip(b.index, b.images, strict=True)}

    first, second, later = shown(24, 0), shown(5, 0), shown(24, 1)
    assert all(torch.equal(first[index], image) for index, image in second.items())
    assert any(not torch.equal(first[index], image) for index, image in later.items())


def test_mixup_mixes_images_and_targets_alike() -> None:
    batch = next(augmented(24, mixup=1.0).epoch(0))
    plain = next(augmented(24).epoch(0))
    assert batch.target.shape == (24, 4)
    assert torch.allclose(batch.target.sum(1), torch.ones(24))
    own = batch.target.gather(1, batch.labels[:, None])[:, 0]
    assert torch.equal(plain.target, plain.labels)
    mixed = [number for number in range(24) if 0.2 < own[number] < 0.8]
    assert len(mixed) > 5
    for number in mixed:  # what is left of the mixture without its own image is another one
        partner = batch.images[number] - own[number] * plain.images[number]
        distance = (partner / (1 - own[number]) - plain.images).abs().amax((1, 2, 3))
        found = int(distance.argmin())
        assert distance[found] < 1e-3
        assert batch.target[number, plain.labels[found]] == pytest.approx(1 - float(own[number]))
