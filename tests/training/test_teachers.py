"""A teacher's answers from the table are the ones that it gives live."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import copied, network, task_data
from torch import Tensor

from stagewise.data.batches import TrainingBatches
from stagewise.declarations import Needs
from stagewise.models.features import Features, Network
from stagewise.study.spec import Training
from stagewise.training.table import Table, TableFolder
from stagewise.training.teachers import (
    BLOCK,
    LiveTeacher,
    TableTeacher,
    Teacher,
    teacher_for,
    widths,
)

GIB = 2**30

POOLED = Needs(teacher=True, teacher_pooled=True)


def teacher(exits: str | None = None) -> Network:
    built = network("resnet14", seed=1, exits=exits, options={"width": 8})
    built.train()(torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(3)))
    return built.eval().requires_grad_(False)


def batches(batch_size: int, images: int = 192, flip: bool = True) -> TrainingBatches:
    return TrainingBatches(
        task_data(images), seed=0, settings=Training(batch_size=batch_size, crop=1, flip=flip)
    )


def tensors(features: Features) -> list[Tensor]:
    return [features.logits, *features.exits]


def features(teacher: Teacher, source: TrainingBatches, number: int) -> list[Features]:
    """A teacher's features of the batches of an epoch."""
    teacher.prepare(*source.draw(number))
    return [teacher(batch) for batch in source.epoch(number)]


def epoch(teacher: Teacher, source: TrainingBatches, number: int) -> list[list[Tensor]]:
    """A teacher's answers to the batches of an epoch."""
    return [tensors(answer) for answer in features(teacher, source, number)]


def table_of(
    folder: Path, source: TrainingBatches, network: Network, limit: int = GIB
) -> Table | None:
    rows = len(source.data.train.labels) * source.views
    return TableFolder(folder, limit).open("key", rows, widths(network))


@pytest.mark.parametrize("exits", [None, "sepatt"])
@pytest.mark.parametrize("kept", [False, True])
def test_answers_are_the_live_teachers_at_the_same_block_size(
    tmp_path: Path, exits: str | None, kept: bool
) -> None:
    source, network = batches(BLOCK), teacher(exits)
    answering = TableTeacher(
        network, source, table=table_of(tmp_path, source, network) if kept else None
    )
    live = LiveTeacher(network)
    views = 0
    for number in range(3):
        for mine, other in zip(
            epoch(answering, source, number), epoch(live, source, number), strict=True
        ):
            views += len(mine[0])
            assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
    assert views >= 512


@pytest.mark.parametrize("batch_size", [7, 50, 100])
def test_answers_are_the_live_teachers_to_rounding_at_any_batch_size(batch_size: int) -> None:
    source, network = batches(batch_size), teacher("sepatt")
    answering, live = TableTeacher(network, source), LiveTeacher(network)
    for number in range(3):
        for mine, other in zip(
            epoch(answering, source, number), epoch(live, source, number), strict=True
        ):
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mine, other, strict=True))


def test_answers_depend_neither_on_the_order_of_epochs_nor_on_the_table(tmp_path: Path) -> None:
    source, network = batches(50), teacher("sepatt")
    plain = TableTeacher(network, source)
    expected = {number: epoch(plain, source, number) for number in range(4)}
    first = TableTeacher(network, source, table=table_of(tmp_path, source, network))
    second = TableTeacher(network, source, table=table_of(tmp_path, source, network))
    for number, answering in [(3, first), (0, second), (2, first), (1, second), (3, second)]:
        found = epoch(answering, source, number)
        for mine, other in zip(found, expected[number], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))


class Counting(torch.nn.Module):
    """A network that counts the images that it is shown."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.shown = network, 0

    def forward(self, images: Tensor) -> Features:
        self.shown += len(images)
        features: Features = self.network(images)
        return features

    def classifiers(self) -> list[torch.nn.Linear]:
        return self.network.classifiers()


def counting(source: TrainingBatches, folder: Path) -> tuple[TableTeacher, Counting]:
    network = Counting(teacher())
    table = table_of(folder, source, network)  # type: ignore[arg-type]
    return TableTeacher(network, source, table=table), network  # type: ignore[arg-type]


def test_no_view_is_computed_twice_by_all_runs_together(tmp_path: Path) -> None:
    source = batches(50, images=64, flip=False)
    answering, network = counting(source, tmp_path)
    for number in range(60):
        epoch(answering, source, number)
    assert answering.table is not None
    assert len(answering.table.filled()) == 64 * source.views
    blocks, second_run = network.shown // BLOCK, counting(source, tmp_path)
    assert blocks <= 60  # one padded block for an epoch's new views, at most
    for number in range(5):
        epoch(second_run[0], source, number)
    assert second_run[1].shown == BLOCK  # the self-check alone


def test_rows_belong_to_their_images_and_views() -> None:
    source, network = batches(50, images=60), teacher()
    answering = TableTeacher(network, source)
    index, view = torch.tensor([3, 50, 7]), torch.tensor([0, 17, 4])
    answering.prepare(index, view)
    expected = network(source.images(index, view)).logits
    assert torch.allclose(answering(source.batch(index, view)).logits, expected, atol=1e-5)


def test_the_teacher_stays_as_it_was() -> None:
    source, network = batches(50), teacher()
    before = copied(network)
    answers = epoch(TableTeacher(network, source), source, 0)
    assert not any(part.requires_grad for answer in answers for part in answer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(network).items())


def test_the_live_teacher_has_the_taps() -> None:
    source, network = batches(50), teacher()
    batch = next(source.epoch(0))
    assert {"stage1", "stage2", "stage3"} <= LiveTeacher(network)(batch).taps.keys()
    assert TableTeacher(network, source)(batch).taps == {}


@pytest.mark.parametrize("exits", [None, "sepatt"])
@pytest.mark.parametrize("kept", [False, True])
def test_pooled_vectors_are_answered_too_where_a_method_asks(
    tmp_path: Path, exits: str | None, kept: bool
) -> None:
    source, network = batches(BLOCK), teacher(exits)
    folder = TableFolder(tmp_path, GIB) if kept else None
    for _ in range(2):  # computed, then read
        answering = teacher_for(network, source, POOLED, tables=folder)
        live = features(LiveTeacher(network), source, 0)
        for mine, other in zip(features(answering, source, 0), live, strict=True):
            assert mine.pooled.shape == (BLOCK, network.classifiers()[-1].in_features)
            assert torch.equal(mine.pooled, other.pooled)
            pairs = zip(tensors(mine), tensors(other), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
    assert len(list(tmp_path.glob("*.table"))) == kept


def test_methods_with_and_without_pooled_vectors_have_tables_of_their_own(tmp_path: Path) -> None:
    source, network, folder = batches(BLOCK), teacher(), TableFolder(tmp_path, GIB)
    for needs in (POOLED, Needs(teacher=True)):
        epoch(teacher_for(network, source, needs, tables=folder, key="key"), source, 0)
    assert len(list(tmp_path.glob("*.table"))) == 2


def test_a_method_that_needs_taps_has_a_live_teacher() -> None:
    answering = teacher_for(teacher(), batches(50), Needs(teacher=True, teacher_taps=True))
    assert isinstance(answering, LiveTeacher)


# -- what the table does with damage and strangers ------------------------------------------------


def test_rows_that_are_damaged_are_computed_again(tmp_path: Path) -> None:
    source, network = batches(50), teacher()
    expected = epoch(TableTeacher(network, source), source, 0)
    table = table_of(tmp_path, source, network)
    assert table is not None
    epoch(TableTeacher(network, source, table=table), source, 0)
    filled = table.filled()
    table.columns[0][filled[::3]] = 0  # as a power cut may leave pages
    table.columns[0][filled[1::3], 2] += 1
    found = epoch(TableTeacher(network, source, table=table), source, 0)
    for mine, other in zip(found, expected, strict=True):
        assert torch.equal(mine[0], other[0])


def test_a_table_of_another_teacher_is_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, network = batches(50), teacher()
    table = table_of(tmp_path, source, network)
    assert table is not None
    epoch(TableTeacher(network, source, table=table), source, 0)
    with torch.no_grad():
        network.classifier.weight.mul_(1.001)
    again = TableTeacher(network, source, table=table)
    assert "starting anew" in capsys.readouterr().out
    assert len(table.filled()) == 0
    live = epoch(TableTeacher(network, source), source, 1)
    assert torch.equal(epoch(again, source, 1)[0][0], live[0][0])


def make(folder: TableFolder, key: str, rows: int) -> Table | None:
    return folder.open(key, rows, [3, 3])


def test_a_folder_keeps_to_its_limit_and_drops_the_oldest_unused(tmp_path: Path) -> None:
    size = 4 * 100 * 7
    folder = TableFolder(tmp_path / "tables", 2 * size)
    for number, key in enumerate(["old", "new"]):
        table = make(folder, key, 100)
        assert table is not None
        table.write(np.arange(100), [np.ones((100, 3), np.float32)] * 2)
        del table
        os.utime(folder.path / f"{key}.table", (number, number))
    assert make(folder, "third", 100) is not None
    assert sorted(path.stem for path in folder.path.glob("*.table")) == ["new", "third"]
    assert sum(path.stat().st_blocks * 512 for path in folder.path.iterdir()) <= 3 * size
    assert make(folder, "large", 201) is None


def test_a_table_in_use_is_not_dropped(tmp_path: Path) -> None:
    folder = TableFolder(tmp_path, 4 * 100 * 7)
    used = make(folder, "used", 100)
    assert used is not None
    assert make(folder, "other", 100) is None
    del used
    assert make(folder, "other", 100) is not None


def test_a_table_is_found_again_with_its_rows(tmp_path: Path) -> None:
    folder = TableFolder(tmp_path, GIB)
    values = [np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32) for _ in "ab"]
    table = make(folder, "key", 100)
    assert table is not None
    table.write(np.array([5, 99, 0, 7]), values)
    again = make(folder, "key", 100)
    assert again is not None
    known, found = again.read(np.array([99, 5, 6]))
    assert known.tolist() == [True, True, False]
    assert np.array_equal(found[1][:2], values[1][[1, 0]])


def test_no_room_on_the_disk_means_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    assert make(TableFolder(tmp_path, GIB), "key", 100) is None
    assert list(tmp_path.glob("*.table")) == []
