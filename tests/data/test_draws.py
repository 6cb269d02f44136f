"""What a seed draws anew: source classes and few images; the splits stay."""

from pathlib import Path

import numpy as np
import pytest
from helpers import CLASSES, CPU, toy_data

from stagewise.data.batches import TaskData, load_task
from stagewise.data.draws import drawn
from stagewise.data.prepared import load_prepared
from stagewise.study.spec import Images

DRAWS = range(1, 9)


def seen(path: Path, task: str, images: str, draw: int) -> TaskData:
    return load_task(path, Images(task=task, images=images, draw=draw), CPU)


def test_no_draw_is_what_the_config_names(prepared: Path) -> None:
    arrays, info = load_prepared(prepared)
    found = drawn(arrays, info, 0)
    assert found.tasks == info["tasks"]
    assert (found.few["all"] == arrays["few.all"]).all()


@pytest.mark.parametrize("draw", DRAWS)
def test_a_draw_has_as_many_classes_and_images(prepared: Path, draw: int) -> None:
    arrays, info = load_prepared(prepared)
    found, labels = drawn(arrays, info, draw), arrays["train.labels"]
    for task, numbers in info["tasks"].items():
        assert len(found.tasks[task]) == len(numbers)
    assert sorted(found.tasks["source"] + found.tasks["target"]) == found.tasks["all"]
    for task in ("all", "target"):
        each = np.bincount(labels[found.few[task]], minlength=CLASSES)
        per_class = info["few"]["per_class"][task]
        assert {each[number] for number in found.tasks[task]} == {per_class}
        assert each.sum() == per_class * len(found.tasks[task])


def test_draws_differ_in_images_and_in_classes(prepared: Path) -> None:
    arrays, info = load_prepared(prepared)
    draws = [drawn(arrays, info, draw) for draw in (0, *DRAWS)]
    assert len({each.few["all"].tobytes() for each in draws}) == len(draws)
    assert len({tuple(each.tasks["target"]) for each in draws}) > 2


def test_a_draw_is_the_same_each_time(prepared: Path) -> None:
    one, two = (seen(prepared, "target", "few", 3) for _ in range(2))
    assert one.classes == two.classes
    assert bool((one.train.images == two.train.images).all())


def test_the_splits_stay(prepared: Path) -> None:
    """A draw changes no image's side: all tasks together hold the same test images."""
    before, after = (seen(prepared, "all", "few", draw) for draw in (0, 1))
    assert bool((before.test.images == after.test.images).all())
    assert bool((before.validation.images == after.validation.images).all())


def test_another_split_seed_has_other_draws(tmp_path: Path) -> None:
    paths = [toy_data(tmp_path / str(seed), split_seed=seed) for seed in (0, 1)]
    found = [drawn(*load_prepared(path), 1) for path in paths]
    assert not np.array_equal(found[0].few["all"], found[1].few["all"])
