"""Prepared and raw data: wrong arrays, wrong statements, missing checksums, of another kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import numpy as np
import pytest
import torch
from damaged import MEND, refused
from helpers import CPU
from safetensors.torch import save_file

from stagewise.data.arrays import save_arrays
from stagewise.data.batches import load_task
from stagewise.data.prepare import prepare
from stagewise.data.prepared import load_prepared
from stagewise.data.raw import load_raw, save_raw
from stagewise.errors import UserError
from stagewise.study.spec import Images


def altered(source: Path, path: Path, arrays: dict[str, Any] | None = None, **info: Any) -> Path:
    """A copy of prepared data with other arrays (None: left out) and info, checksums right."""
    old, told = load_prepared(source)
    new = {name: array for name, array in {**old, **(arrays or {})}.items() if array is not None}
    save_arrays(new, {key: v for key, v in {**told, **info}.items() if v is not None}, path)
    return path


BAD_ARRAYS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("train.images", lambda old: None, "'train.images' is missing"),
    ("test.labels", lambda old: None, "'test.labels' is missing"),
    ("few.all", lambda old: None, "'few.all'"),
    ("train.images", lambda old: old.astype(np.float32), "is float32"),
    ("train.images", lambda old: old[:, 0], "not uint8 with 4 axes"),
    ("train.images", lambda old: old[:5], "5 'train.images' and 24"),
    ("train.images", lambda old: old[..., :4], "must be square"),
    ("test.images", lambda old: old[:, :, :4, :4], "all of one size"),
    ("train.labels", lambda old: old.astype(np.int32), "is int32"),
    ("train.labels", lambda old: old + 1, "go from 1 to 4, but there are 4"),
    ("train.labels", lambda old: old - 1, "go from -1"),
    ("validation.labels", lambda old: old[:0], "0 'validation.labels'"),
    ("validation.images", lambda old: old[:0], "0 'validation.images'"),
    ("few.all", lambda old: old + 100, "beyond the 24"),
    ("few.all", lambda old: old - 100, "beyond the 24"),
    ("few.target", lambda old: old.astype(float), "'few.target' is no list"),
    ("few.target", lambda old: np.arange(24), "not the task's"),
]


@pytest.mark.parametrize(("name", "change", "part"), BAD_ARRAYS)
def test_wrong_arrays_are_refused(
    prepared: Path, tmp_path: Path, name: str, change: Callable[[Any], Any], part: str
) -> None:
    old, _ = load_prepared(prepared)
    path = altered(prepared, tmp_path / "prepared.safetensors", {name: change(old[name])})
    refused(path, lambda: load_task(path, Images(images="few"), CPU), part)


def test_validation_images_that_were_held_out_cannot_be_missing(
    prepared: Path, tmp_path: Path
) -> None:
    old, _ = load_prepared(prepared)
    none = {name: old[name][:0] for name in ("validation.images", "validation.labels")}
    path = altered(prepared, tmp_path / "prepared.safetensors", none)
    count = len(old["validation.labels"])
    refused(path, lambda: load_prepared(path), f"'validation.images' has 0 entries, not {count}")


@pytest.mark.parametrize(
    ("info", "part"),
    [
        ({"classes": None}, "states no 'classes'"),
        ({"classes": "0123"}, "states no 'classes'"),
        ({"classes": ["a", "b"]}, "names more than the 2"),
        ({"tasks": None}, "states no 'tasks'"),
        ({"counts": None}, "states no 'counts'"),
        ({"counts": {}}, "entries, not None"),
        ({"few": None}, "states no 'few'"),
        ({"few": {"seed": 0, "per_class": {"all": "10", "target": 5}}}, "does not say how many"),
        ({"few": {"seed": 0.5, "per_class": {"all": 10, "target": 5}}}, "does not say how many"),
        ({"tasks": {"all": "0123"}}, "task 'all' is no list"),
        ({"tasks": {"all": [0, 0, 1]}}, "task 'all' repeats classes"),
        ({"tasks": {"all": [0, 1, 2, 3], "target": [2, 3]}}, "'source' has 0 classes"),
        ({"mean": None}, "states no 'mean'"),
        ({"mean": ["0"]}, "no numbers"),
        ({"std": [1.0, 1.0]}, "one value for each of 1 channels"),
    ],
)
def test_wrong_statements_are_refused(
    prepared: Path, tmp_path: Path, info: dict[str, Any], part: str
) -> None:
    path = altered(prepared, tmp_path / "prepared.safetensors", **info)
    refused(path, lambda: load_task(path, Images(task="source"), CPU), part)


@pytest.mark.parametrize("info", ["null", "[]", "{}", '{"sha256": 5}', '{"sha256": {"x": 1}}', "{"])
def test_data_without_checksums_are_refused(tmp_path: Path, info: str) -> None:
    path = tmp_path / "prepared.safetensors"
    save_file({"images": torch.zeros(1)}, path, {"info": info})
    refused(path, lambda: load_prepared(path), "not a data file")
    refused(tmp_path, lambda: load_prepared(tmp_path), "not a data file")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"labels": np.zeros(48)}, "'labels' is float64"),
        ({"labels": np.arange(48)}, "go from 0 to 47, but there are 4"),
        ({"images": np.zeros((48, 8, 8), np.uint8)}, "with 4 axes"),
        ({"images": np.zeros((0, 1, 8, 8), np.uint8)}, "0 'images' and 48"),
        ({"test_images": np.zeros((2, 1, 8, 8), np.uint8)}, "'test_labels' is missing"),
    ],
)
def test_wrong_raw_data_are_refused(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    raw, path = helpers.toy_raw(), tmp_path / "raw.safetensors"
    arrays = {"images": raw.images, "labels": raw.labels, **changes}
    save_arrays(arrays, {"classes": raw.classes, "notes": {}}, path)
    refused(path, lambda: load_raw(path), part)


def test_raw_data_are_no_prepared_data_and_the_reverse(prepared: Path, tmp_path: Path) -> None:
    save_raw(helpers.toy_raw(), tmp_path / "raw.safetensors")
    path = tmp_path / "raw.safetensors"
    refused(path, lambda: load_prepared(path), "states no 'tasks'")
    refused(prepared, lambda: load_raw(prepared), "states no classes or notes")


@pytest.mark.parametrize(
    "settings", [{"test": 0.01}, {"validation": 0.01}, {"source_classes": [0, 1, 2, 3]}]
)
def test_splits_that_cannot_be_made_leave_no_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = tmp_path / "prepared.safetensors"
    with pytest.raises(UserError, match=r"^data") as caught:
        prepare(helpers.toy_raw(), helpers.data_settings(**settings), path)
    assert MEND.search(str(caught.value))
    assert list(tmp_path.iterdir()) == []
