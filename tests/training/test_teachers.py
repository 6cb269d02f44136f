"""A teacher's answers from the table are the ones that it gives live."""

import pytest
import torch
from helpers import copied, network, task_data
from torch import Tensor

from stagewise.data.batches import TrainingBatches
from stagewise.models.features import Batch, Features, Network
from stagewise.training import teachers
from stagewise.training.teachers import BLOCK, LiveTeacher, TeacherTable, teacher_for


def teacher(exits: str | None = None) -> Network:
    built = network("resnet14", seed=1, exits=exits, options={"width": 8})
    built.train()(torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(3)))
    return built.eval().requires_grad_(False)


def batches(batch_size: int, images: int = 192, flip: bool = True) -> TrainingBatches:
    return TrainingBatches(task_data(images), seed=0, batch_size=batch_size, crop=1, flip=flip)


def tensors(features: Features) -> list[Tensor]:
    return [features.logits, features.pooled, *features.exits]


@pytest.mark.parametrize("exits", [None, "sepatt"])
def test_the_table_is_exact_at_its_own_block_size(exits: str | None) -> None:
    source, network = batches(BLOCK), teacher(exits)
    table, live = TeacherTable(network, source), LiveTeacher(network)
    for batch in source.epoch(0):
        for mine, other in zip(tensors(table(batch)), tensors(live(batch)), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.parametrize("batch_size", [7, 50, 100])
def test_the_table_is_the_live_teacher_to_rounding_on_any_view(batch_size: int) -> None:
    source, network = batches(batch_size), teacher("sepatt")
    table, live = TeacherTable(network, source), LiveTeacher(network)
    views = 0
    for epoch in range(3):
        for batch in source.epoch(epoch):
            views += len(batch.labels)
            for mine, other in zip(tensors(table(batch)), tensors(live(batch)), strict=True):
                assert torch.allclose(mine, other, atol=1e-5)
    assert views >= 512


def whole(table: TeacherTable, source: TrainingBatches, epochs: list[int]) -> dict[int, Tensor]:
    """Row of the table → logits, after the epochs in the given order."""
    for epoch in epochs:
        for batch in source.epoch(epoch):
            table(batch)
    rows = table.filled.nonzero()[:, 0].tolist()
    return {row: table.columns[0][row].clone() for row in rows}


def test_answers_do_not_depend_on_the_order_of_visits() -> None:
    network = teacher()
    forward, backward = batches(50), batches(17)
    first = whole(TeacherTable(network, forward), forward, [0, 1, 2])
    second = whole(TeacherTable(network, backward), backward, [2, 1, 0])
    common = first.keys() & second.keys()
    assert len(common) > 500
    assert all(torch.equal(first[row], second[row]) for row in common)


class Counting(torch.nn.Module):
    """A network that counts the images that it is shown."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.shown = network, 0

    def forward(self, images: Tensor) -> Features:
        self.shown += len(images)
        features: Features = self.network(images)
        return features


def test_no_view_is_computed_twice() -> None:
    source, network = batches(50, images=64, flip=False), Counting(teacher())
    table = TeacherTable(network, source)  # type: ignore[arg-type]
    for epoch in range(60):
        for batch in source.epoch(epoch):
            table(batch)
    assert table.filled.all()
    assert network.shown == 64 * source.views  # 9 blocks without padding


def test_rows_belong_to_their_images_and_views() -> None:
    source, network = batches(50, images=60), teacher()
    table = TeacherTable(network, source)
    for batch in source.epoch(0):
        table(batch)
    index, view = torch.tensor([3, 50, 3, 7]), torch.tensor([0, 17, 11, 4])
    batch = Batch(source.images(index, view), torch.zeros(4, dtype=torch.long), index, view)
    expected = network(batch.images).logits
    assert torch.allclose(table(batch).logits, expected, atol=1e-5)


def test_the_teacher_stays_as_it_was() -> None:
    source, network = batches(50), teacher()
    before = copied(network)
    table = TeacherTable(network, source)
    answers = [table(batch) for batch in source.epoch(0)]
    assert not any(answer.logits.requires_grad for answer in answers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(network).items())


def test_the_live_teacher_has_the_taps() -> None:
    source, network = batches(50), teacher()
    batch = next(source.epoch(0))
    assert {"stage1", "stage2", "stage3"} <= LiveTeacher(network)(batch).taps.keys()
    assert TeacherTable(network, source)(batch).taps == {}


def test_a_table_that_takes_too_much_memory_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    source, network = batches(50), teacher("sepatt")
    assert isinstance(teacher_for(network, source, ["teacher"]), TeacherTable)
    table = TeacherTable(network, source)
    table(next(source.epoch(0)))
    taken = sum(column.nbytes for column in table.columns)
    monkeypatch.setattr(teachers, "TABLE_BYTES", taken // 2)
    assert isinstance(teacher_for(network, source, ["teacher"]), LiveTeacher)


def test_a_method_that_needs_taps_has_a_live_teacher() -> None:
    answering = teacher_for(teacher(), batches(50), ["teacher", "teacher_taps"])
    assert isinstance(answering, LiveTeacher)
