"""The images that a probe looks at."""

from dataclasses import replace

import torch
from helpers import CLASSES, network, task_data
from probes import probe

from stagewise.data.batches import Split, TaskData
from stagewise.measure.probe import LIMIT, probe_batch, stratified


def test_a_draw_of_sorted_images_has_every_class_at_its_share() -> None:
    labels = torch.arange(5).repeat_interleave(torch.tensor([400, 300, 200, 80, 20]))
    drawn = stratified(labels, 100, 0)
    assert len(drawn) == len(drawn.unique()) == 100
    counts = labels[drawn].bincount(minlength=5)
    assert (counts - torch.tensor([40, 30, 20, 8, 2])).abs().max() <= 1
    assert counts.min() >= 1
    assert drawn.tolist() == sorted(drawn.tolist())


def test_a_draw_is_one_of_the_seed_and_never_the_first_images() -> None:
    labels = torch.arange(4).repeat(100)
    first, again, other = (stratified(labels, 40, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.max() > 300


def test_of_a_large_class_every_image_can_be_drawn() -> None:
    labels = torch.arange(2).repeat(10)
    seen = torch.cat([stratified(labels, 6, seed) for seed in range(60)])
    assert len(seen.unique()) == 20


def test_fewer_images_than_asked_for_are_all_taken_in_their_order() -> None:
    assert stratified(torch.tensor([3, 1, 1, 0]), 4, 0).tolist() == [0, 1, 2, 3]
    assert stratified(torch.empty(0, dtype=torch.int64), 4, 0).tolist() == []


def sorted_data(each: int, classes: int = CLASSES) -> TaskData:
    """Images that lie by class in every split, and whose pixels tell their number."""
    data = task_data(each * classes)
    labels = data.train.labels.sort().values
    pixels = data.train.images.clone()
    numbers = torch.arange(len(labels))
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = numbers // 256, numbers % 256
    split = Split(pixels, labels)
    return replace(data, train=split, validation=split)


def test_the_probe_of_sorted_data_has_every_class_of_both_splits() -> None:
    batch, count = probe_batch(sorted_data(LIMIT // 2), 0)
    assert (count, len(batch.labels)) == (LIMIT, 2 * LIMIT)
    for part in (batch.labels[:count], batch.labels[count:]):
        assert part.bincount().tolist() == [LIMIT // CLASSES] * CLASSES


def test_the_probe_knows_training_images_by_their_number() -> None:
    data = sorted_data(LIMIT // 2)
    batch, count = probe_batch(data, 0)
    assert (batch.index[count:] == -1).all()
    own = batch.index[:count]
    assert own.max() >= LIMIT
    assert torch.equal(batch.labels[:count], data.train.labels[own])
    assert torch.equal(batch.images[:count], data.normalise(data.train.images[own]))
    assert not torch.equal(probe_batch(data, 1)[0].index, batch.index)


def test_a_small_set_is_its_own_probe() -> None:
    data = task_data(16)
    batch, count = probe_batch(data, 5)
    assert count == 16
    assert torch.equal(batch.images, data.normalise(torch.cat([data.train.images] * 2)))
    assert batch.index.tolist() == [*range(16), *[-1] * 16]


def test_the_probe_has_at_most_1024_images_of_each_split() -> None:
    watching = probe(network(), images=LIMIT + 60)
    assert len(watching.batch.labels) == 2 * LIMIT
    assert watching.train_count == LIMIT
