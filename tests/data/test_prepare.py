"""Splits, the few images of the students, resizing, and files that check themselves."""

import mmap
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CLASSES, EACH, ROOT, data_settings, loaded, toy_data, toy_raw
from safetensors.numpy import save_file

from stagewise.data import prepare as module
from stagewise.data.arrays import load_arrays
from stagewise.data.prepare import channel_statistics, few, prepare, resize, stratified
from stagewise.data.raw import RawData, load_raw, save_raw
from stagewise.errors import UserError

SPLITS = ("train", "validation", "test")


def fingerprints(images: Any) -> list[bytes]:
    return [image.tobytes() for image in images]


def test_splits_are_disjoint_and_cover_everything(prepared: Path) -> None:
    arrays, _ = load_arrays(prepared)
    seen = [key for split in SPLITS for key in fingerprints(arrays[f"{split}.images"])]
    assert len(set(seen)) == len(seen) == CLASSES * EACH
    assert set(seen) == set(fingerprints(toy_raw().images))


def test_every_image_keeps_its_label(prepared: Path) -> None:
    arrays, _ = load_arrays(prepared)
    raw = toy_raw()
    truth = dict(zip(fingerprints(raw.images), raw.labels, strict=True))
    for split in SPLITS:
        labels = [truth[key] for key in fingerprints(arrays[f"{split}.images"])]
        assert labels == arrays[f"{split}.labels"].tolist()


def test_splits_are_stratified_and_their_shares_are_of_the_whole_set(prepared: Path) -> None:
    arrays, _ = load_arrays(prepared)
    for split, each in zip(SPLITS, (6, 3, 3), strict=True):
        assert np.bincount(arrays[f"{split}.labels"]).tolist() == [each] * CLASSES


def test_stratified_keeps_the_share_of_unequal_classes() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 10])
    rest, part = stratified(labels, 0.3, seed=1)
    assert np.bincount(labels[part]).tolist() == [30, 12, 3]
    assert sorted([*rest, *part]) == list(range(150))


def test_the_split_depends_on_its_seed_alone(tmp_path: Path) -> None:
    one, same = toy_data(tmp_path / "one"), toy_data(tmp_path / "same")
    other = toy_data(tmp_path / "other", split_seed=1)
    assert one.read_bytes() == same.read_bytes()
    first, second = (load_arrays(path)[0]["test.images"] for path in (one, other))
    assert set(fingerprints(first)) != set(fingerprints(second))


def test_the_few_are_as_many_as_asked_for_and_from_the_training_set(prepared: Path) -> None:
    arrays, _ = load_arrays(prepared)
    labels = arrays["train.labels"]
    assert np.bincount(labels[arrays["few.all"]]).tolist() == [4, 4, 4, 4]
    assert np.bincount(labels[arrays["few.target"]], minlength=4).tolist() == [0, 0, 3, 3]
    assert len(set(arrays["few.all"].tolist())) == 16


def test_none_means_all_images() -> None:
    labels = np.array([0, 1, 0, 1, 2])
    assert few(labels, None, [0, 2], seed=0).tolist() == [0, 2, 4]


def test_other_seeds_choose_other_images() -> None:
    labels = np.zeros(50, np.int64)
    assert few(labels, 5, [0], seed=0).tolist() != few(labels, 5, [0], seed=1).tolist()


def test_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"7 images per class.*class 1 has 2.*lower"):
        few(np.array([0] * 9 + [1] * 2), 7, [0, 1], seed=0)


def test_source_classes_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source_classes: \[4, 9\].*use 0 to 3"):
        toy_data(tmp_path / "prepared", source_classes=[0, 4, 9])


def test_source_classes_that_leave_no_target_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="source_classes"):
        toy_data(tmp_path / "prepared", source_classes=[0, 1, 2, 3])


def test_a_share_too_small_for_the_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test|validation"):
        toy_data(tmp_path / "prepared", test=0.01)


def test_a_test_set_of_the_source_is_kept_as_it_is(tmp_path: Path) -> None:
    raw, extra = toy_raw(), toy_raw(each=5)
    given = RawData(raw.images, raw.labels, raw.classes, extra.images, extra.labels)
    prepare(given, data_settings(), tmp_path / "prepared")
    arrays, _ = load_arrays(tmp_path / "prepared")
    assert np.array_equal(arrays["test.images"], extra.images)
    assert np.array_equal(arrays["test.labels"], extra.labels)
    assert len(arrays["validation.labels"]) == CLASSES * EACH // 4
    assert len(arrays["train.labels"]) == CLASSES * EACH * 3 // 4


def test_without_validation_all_other_images_are_trained_on(tmp_path: Path) -> None:
    path = toy_data(tmp_path / "prepared", validation=0, test=0.25, student_images_per_class=None)
    arrays, info = load_arrays(path)
    seen = [key for split in SPLITS for key in fingerprints(arrays[f"{split}.images"])]
    assert sorted(seen) == sorted(fingerprints(toy_raw().images))
    assert info["counts"] == {
        **{f"train.{name}": 36 for name in ("images", "labels")},
        **{f"validation.{name}": 0 for name in ("images", "labels")},
        **{f"test.{name}": 12 for name in ("images", "labels")},
        "few.all": 36,
        "few.target": 6,
    }
    data = loaded(path, "target")
    assert data.validation.images.shape == (0, 1, 8, 8)
    assert (len(data.train.labels), len(data.test.labels)) == (18, 6)


def test_without_validation_the_test_set_is_the_same(prepared: Path, tmp_path: Path) -> None:
    other = load_arrays(toy_data(tmp_path / "prepared", validation=0))[0]
    assert np.array_equal(load_arrays(prepared)[0]["test.images"], other["test.images"])


def test_without_validation_a_source_with_a_test_set_gives_all_its_images(tmp_path: Path) -> None:
    raw, extra = toy_raw(), toy_raw(each=5)
    given = RawData(raw.images, raw.labels, raw.classes, extra.images, extra.labels)
    prepare(given, data_settings(validation=0), tmp_path / "prepared")
    arrays, _ = load_arrays(tmp_path / "prepared")
    assert np.array_equal(arrays["train.images"], raw.images)
    assert len(arrays["validation.labels"]) == 0


@pytest.mark.parametrize(
    ("wanted", "numbers"), [(2, [0, 1]), ([3, 1], [3, 1]), (None, [0, 1, 2, 3])]
)
def test_a_study_may_use_some_classes_of_the_data(
    tmp_path: Path, wanted: Any, numbers: list[int]
) -> None:
    raw, extra = toy_raw(), toy_raw(each=5)
    given = RawData(raw.images, raw.labels, raw.classes, extra.images, extra.labels)
    info = prepare(given, data_settings(classes=wanted, source_classes=[]), tmp_path / "prepared")
    arrays, _ = load_arrays(tmp_path / "prepared")
    assert info["classes"] == [f"class {number}" for number in numbers]
    truth = dict(zip(fingerprints(raw.images), raw.labels, strict=True))
    for split in ("train", "validation"):
        found = [numbers[label] for label in arrays[f"{split}.labels"]]
        assert found == [truth[key] for key in fingerprints(arrays[f"{split}.images"])]
    kept = np.isin(extra.labels, numbers)  # every test image of the classes in use
    assert (arrays["test.images"] == extra.images[kept]).all()
    assert [numbers[label] for label in arrays["test.labels"]] == extra.labels[kept].tolist()


def test_classes_that_the_data_lack_are_refused(tmp_path: Path) -> None:
    for wanted in (5, [0, 4]):
        with pytest.raises(UserError, match=r"data.classes: .*4 classes.*below 4"):
            toy_data(tmp_path / "prepared", classes=wanted)


def test_many_images_are_computed_with_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (25, 3, 8, 8), np.uint8)
    whole = resize(images, 5)
    monkeypatch.setattr(module, "CHUNK", 7)
    assert (resize(images, 5) == whole).all()
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(images.mean((0, 2, 3)) / 255, rel=1e-12)
    assert std == pytest.approx(images.std((0, 2, 3)) / 255, rel=1e-12)


def test_images_are_mapped_not_read(prepared: Path) -> None:
    arrays, _ = load_arrays(prepared)
    for name, array in arrays.items():
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        assert isinstance(owner.base, mmap.mmap) == name.endswith(".images"), name
    with pytest.raises(ValueError, match="read-only"):
        arrays["train.images"][0] = 0


def test_statistics_are_of_the_training_images(prepared: Path) -> None:
    arrays, info = load_arrays(prepared)
    assert info["mean"] == [pytest.approx(arrays["train.images"].mean() / 255)]
    assert info["std"] == [pytest.approx(arrays["train.images"].std() / 255)]
    assert info["counts"]["train.images"] == 24


# -- resizing ------------------------------------------------------------------------------------


def test_enlarging_interpolates_between_pixel_centres() -> None:
    image = np.array([[[[0, 100], [100, 200]]]], np.uint8)
    line = np.array([0, 25, 75, 100])
    assert resize(image, 4)[0, 0].tolist() == (line[:, None] + line).tolist()


def test_halving_averages_the_two_nearest_pixels() -> None:
    image = np.tile(np.array([0, 10, 20, 40], np.uint8), (1, 1, 4, 1))
    assert resize(image, 2)[0, 0].tolist() == [[5, 30], [5, 30]]


def test_resizing_takes_images_that_are_not_square() -> None:
    image = np.array([[[[10, 20, 30, 40]]]], np.uint8)
    assert resize(image, 2)[0, 0].tolist() == [[15, 35], [15, 35]]


def test_resizing_keeps_flat_images_flat() -> None:
    flat = np.full((2, 3, 7, 7), 255, np.uint8)
    assert (resize(flat, 16) == 255).all()
    assert resize(flat, 16).shape == (2, 3, 16, 16)


def test_images_of_the_right_size_are_not_touched() -> None:
    images = toy_raw().images
    assert resize(images, 8) is images


def test_prepared_images_have_the_size_that_is_asked_for(tmp_path: Path) -> None:
    arrays, _ = load_arrays(toy_data(tmp_path / "prepared", image_size=12))
    assert {arrays[f"{split}.images"].shape[2:] for split in SPLITS} == {(12, 12)}


# -- files ---------------------------------------------------------------------------------------


def test_raw_data_survives_its_file(tmp_path: Path) -> None:
    raw, extra = toy_raw(), toy_raw(each=5)
    notes = {"licence": "none"}
    given = RawData(raw.images, raw.labels, raw.classes, extra.images, extra.labels, notes)
    save_raw(given, tmp_path / "raw")
    back = load_raw(tmp_path / "raw")
    for name, value in vars(given).items():
        assert np.array_equal(getattr(back, name), value), name
    save_raw(raw, tmp_path / "raw")
    assert load_raw(tmp_path / "raw").test_images is None


@pytest.mark.parametrize("name", ["train.images", "test.labels", "few.all"])
def test_a_changed_array_is_named(prepared: Path, tmp_path: Path, name: str) -> None:
    content = prepared.read_bytes()
    original, _ = load_arrays(prepared)
    place = content.index(original[name].tobytes())
    damaged = bytearray(content)
    damaged[place] ^= 1
    path = tmp_path / "prepared.safetensors"
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=f"{path}: '{name}' is damaged"):
        load_arrays(path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_named(prepared: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "prepared.safetensors"
    path.write_bytes(prepared.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{path}: not a data file"):
        load_arrays(path)


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text", tmp_path / "foreign"
    text.write_text("study: digits\n" * 20)
    save_file({"images": np.zeros(3)}, foreign)
    for path in (text, foreign):
        with pytest.raises(UserError, match=f"{path}: not a data file of this project"):
            load_arrays(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: no such data file; run"):
        load_arrays(tmp_path / "absent")


# -- tasks ---------------------------------------------------------------------------------------


def test_a_task_renumbers_its_classes_from_0(tmp_path: Path) -> None:
    path = toy_data(tmp_path / "prepared", source_classes=[0, 2])
    whole, target = loaded(path), loaded(path, "target")
    assert target.classes == ["class 1", "class 3"]
    for split in SPLITS:
        everything, own = getattr(whole, split), getattr(target, split)
        kept = (everything.labels == 1) | (everything.labels == 3)
        assert (own.images == everything.images[kept]).all()
        assert (own.labels == (everything.labels[kept] == 3).long()).all()


def test_few_images_shrink_the_training_set_alone(prepared: Path) -> None:
    for task, count in (("all", 16), ("target", 6)):
        full, part = loaded(prepared, task), loaded(prepared, task, "few")
        assert len(part.train.labels) == count
        assert (part.test.labels == full.test.labels).all()
        assert (part.validation.labels == full.validation.labels).all()
        assert set(fingerprints(part.train.images.numpy())) <= set(
            fingerprints(full.train.images.numpy())
        )


def test_a_task_needs_two_classes(tmp_path: Path) -> None:
    path = toy_data(tmp_path / "prepared", source_classes=[0, 1, 2])
    with pytest.raises(UserError, match="task 'target' has 1 classes"):
        loaded(path, "target")


# -- scripts -------------------------------------------------------------------------------------


def script(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str | Path) -> int | str | None:
    """The exit code of a script, run in this process."""
    path = str(ROOT / "scripts" / name)
    monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(path, run_name="__main__")
    return done.value.code


def test_download_and_prepare_leave_data_that_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out, summary = (tmp_path / name for name in ("raw", "prepared", "summary.json"))
    settings = (
        '{"source": "digits", "validation": 0.2, "test": 0.3, "split_seed": 0,'
        ' "classes": null, "student_images_per_class": 10, "target_images_per_class": 5,'
        ' "source_classes": [0, 1, 2, 3, 4], "image_size": 16}'
    )
    assert not script(monkeypatch, "download.py", "--source", "digits", "--out", raw)
    prepare_arguments = ("--raw", raw, "--settings", settings, "--out", out, "--summary", summary)
    assert not script(monkeypatch, "prepare.py", *prepare_arguments)
    data = loaded(out, "target", "few")
    assert data.train.images.shape == (25, 1, 16, 16)
    assert data.classes == ["5", "6", "7", "8", "9"]
    assert abs(len(loaded(out).test.labels) - 0.3 * 1797) < 1
    assert abs(len(loaded(out).validation.labels) - 0.2 * 1797) < 2
    assert '"few.target": 25' in summary.read_text()


def test_a_script_says_what_is_wrong_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("--raw", tmp_path / "absent", "--settings", "{}", "--out", tmp_path / "out")
    code = script(monkeypatch, "prepare.py", *arguments, "--summary", tmp_path / "summary")
    assert str(code).startswith("error: ")
    assert "\n" not in str(code)
    assert list(tmp_path.iterdir()) == []
