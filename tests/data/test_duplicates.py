"""Pictures that are there more than once, small classes, channels that say nothing."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import data_settings, toy_raw
from PIL import Image

from stagewise.data.arrays import load_arrays
from stagewise.data.duplicates import pictures, repeated
from stagewise.data.prepare import prepare, stratified
from stagewise.data.prepared import load_prepared
from stagewise.data.raw import RawData, load_raw, noted, save_raw
from stagewise.data.sources import image_folder
from stagewise.errors import UserError

SPLITS = ("train", "validation", "test")
ALL = {"student_images_per_class": None, "target_images_per_class": None}


def copied(own: bool, copies: int = 2, each: int = 6) -> RawData:
    """Toy images, each of them ``copies`` times."""
    raw = toy_raw(each=each)
    order = np.tile(np.arange(len(raw.labels)), copies)
    return replace(raw, images=raw.images[order], labels=raw.labels[order], own_images=own)


def shared(path: Path) -> dict[tuple[str, str], int]:
    """Pictures that two splits have in common."""
    arrays, _ = load_arrays(path)
    seen = {split: {image.tobytes() for image in arrays[f"{split}.images"]} for split in SPLITS}
    pairs = [("train", "validation"), ("train", "test"), ("validation", "test")]
    return {(one, other): len(seen[one] & seen[other]) for one, other in pairs}


def test_pictures_are_numbered_over_all_sets() -> None:
    images = np.arange(3, dtype=np.uint8).repeat(4).reshape(3, 1, 2, 2)
    one, two = pictures(images[[0, 1, 0]], images[[2, 1]])
    assert (one.tolist(), two.tolist()) == ([0, 1, 0], [2, 1])
    found = repeated([one, two])
    assert (found.images, found.shared) == (2, 1)


def test_copies_of_one_s_own_images_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = copied(own=True)
    info = prepare(raw, data_settings(**ALL), tmp_path / "prepared")
    assert not any(shared(tmp_path / "prepared").values())
    assert sum(info["counts"][f"{split}.images"] for split in SPLITS) == len(raw.labels)
    assert info["duplicates"] == {"images": 24, "shared": 0, "left_out": 0}
    assert "duplicates: 24 images repeat another; each picture is on one side" in (
        capsys.readouterr().out
    )
    arrays, _ = load_arrays(tmp_path / "prepared")
    truth = {image.tobytes(): label for image, label in zip(raw.images, raw.labels, strict=True)}
    for split in SPLITS:
        labels = [truth[image.tobytes()] for image in arrays[f"{split}.images"]]
        assert labels == arrays[f"{split}.labels"].tolist()


def test_a_published_set_is_split_as_it_is_and_its_copies_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = copied(own=False)
    info = prepare(raw, data_settings(**ALL), tmp_path / "prepared")
    several = sum(shared(tmp_path / "prepared").values())
    assert several > 5
    assert info["duplicates"]["shared"] == several
    assert f"{several} pictures are in more than one split" in capsys.readouterr().out


@pytest.mark.parametrize("own", [True, False])
def test_either_can_be_told_otherwise(tmp_path: Path, own: bool) -> None:
    settings = data_settings(**ALL, duplicates_together=not own)
    prepare(copied(own), settings, tmp_path / "prepared")
    assert any(shared(tmp_path / "prepared").values()) == own


def test_without_copies_nothing_is_said_and_nothing_changes(tmp_path: Path) -> None:
    raw, settings = toy_raw(), data_settings()
    assert "duplicates" not in prepare(raw, settings, tmp_path / "published")
    prepare(replace(raw, own_images=True), settings, tmp_path / "own")
    assert (tmp_path / "own").read_bytes() == (tmp_path / "published").read_bytes()


def test_what_the_test_set_holds_is_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, extra = toy_raw(), toy_raw(each=3)  # the first three of each class
    raw = replace(raw, test_images=extra.images, test_labels=extra.labels, own_images=True)
    info = prepare(raw, data_settings(**ALL), tmp_path / "prepared")
    assert not any(shared(tmp_path / "prepared").values())
    assert info["counts"]["test.images"] == 12
    assert info["duplicates"]["left_out"] == 12
    assert "12 training images that the test set holds are left out" in capsys.readouterr().out


def test_too_few_different_images_are_refused_by_name(tmp_path: Path) -> None:
    raw = copied(own=True, copies=9, each=2)
    with pytest.raises(UserError, match=r"class 'class 0' has 2 different images, but .* need 3"):
        prepare(raw, data_settings(**ALL), tmp_path / "prepared")
    prepare(raw, data_settings(**ALL, duplicates_together=False), tmp_path / "prepared")
    assert list(tmp_path.iterdir()) == [tmp_path / "prepared"]


def test_own_images_keep_what_they_are_in_their_file(tmp_path: Path) -> None:
    raw = replace(toy_raw(), own_images=True, notes={"listing": "abc"})
    save_raw(raw, tmp_path / "raw")
    assert load_raw(tmp_path / "raw").own_images
    assert noted(tmp_path / "raw", "listing") == "abc"
    save_raw(toy_raw(), tmp_path / "published")
    assert not load_raw(tmp_path / "published").own_images
    assert noted(tmp_path / "published", "listing") == ""
    assert noted(tmp_path / "absent", "listing") == ""
    (tmp_path / "text").write_text("text")
    assert noted(tmp_path / "text", "listing") == ""


@pytest.mark.parametrize("separate", [False, True])
def test_a_folder_of_copies_trains_on_no_test_image(tmp_path: Path, separate: bool) -> None:
    """Seven of ten test images were in training: copies beside the originals, in other formats."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name / "copies").mkdir(parents=True)
        for number in range(10):
            image = Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8))
            image.save(tmp_path / "pets" / name / f"{number}.png")
            image.save(tmp_path / "pets" / name / "copies" / f"{number} (1).bmp")
    options = {"path": str(tmp_path / "pets")}
    if separate:
        for name in ("cat", "dog"):
            shutil.copytree(tmp_path / "pets" / name / "copies", tmp_path / "test" / name)
            for file in list((tmp_path / "test" / name).iterdir())[3:]:
                file.unlink()
        options["test_path"] = str(tmp_path / "test")
    raw = image_folder.load(tmp_path, **options, image_size=8)
    info = prepare(raw, data_settings(**ALL, source_classes=[]), tmp_path / "prepared")
    assert not any(shared(tmp_path / "prepared").values())
    assert info["duplicates"]["left_out"] == (12 if separate else 0)


# -- few images ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_no_split_is_without_a_class(tmp_path: Path, seed: int) -> None:
    counts = [3, 40, 3, 5]
    raw = toy_raw(each=40)
    chosen = np.concatenate(
        [np.flatnonzero(raw.labels == n)[:count] for n, count in enumerate(counts)]
    )
    raw = replace(raw, images=raw.images[chosen], labels=raw.labels[chosen])
    for shares in ({"validation": 0.1, "test": 0.1}, {"validation": 0.4, "test": 0.5}):
        settings = data_settings(**ALL, **shares, split_seed=seed)
        info = prepare(raw, settings, tmp_path / "prepared")
        arrays, _ = load_prepared(tmp_path / "prepared")
        for split in SPLITS:
            assert set(arrays[f"{split}.labels"].tolist()) == {0, 1, 2, 3}, split
        assert sum(info["counts"][f"{split}.labels"] for split in SPLITS) == sum(counts)


def test_a_share_takes_and_leaves_images_of_every_class() -> None:
    labels = np.repeat([0, 1, 2], [2, 3, 95])
    for share in (0.03, 0.1, 0.9, 0.97):
        for seed in range(20):
            rest, part = stratified(labels, share, seed)
            assert set(labels[rest]) == set(labels[part]) == {0, 1, 2}
            assert sorted([*rest, *part]) == list(range(100))
            again = stratified(labels, share, seed)
            assert rest.tolist() == again[0].tolist()


def test_a_class_of_too_few_images_is_named(tmp_path: Path) -> None:
    raw = toy_raw()
    kept = np.flatnonzero((raw.labels != 2) | (np.arange(len(raw.labels)) < 8))
    raw = replace(raw, images=raw.images[kept], labels=raw.labels[kept])
    with pytest.raises(UserError, match=r"^data: class 'class 2' has 2 images, .* need 3; add"):
        prepare(raw, data_settings(**ALL), tmp_path / "prepared")
    prepare(raw, data_settings(**ALL, validation=0), tmp_path / "prepared")


# -- channels that say nothing -------------------------------------------------------------------


def coloured(*channels: Any) -> RawData:
    """Toy images in colour; a channel is a factor of the grey values, or a constant."""
    raw = toy_raw()
    planes = [
        raw.images * bool(c) if c in (0, 1) else np.full_like(raw.images, c) for c in channels
    ]
    return replace(raw, images=np.concatenate(planes, axis=1))


@pytest.mark.parametrize(("channels", "constant"), [((1, 1, 0), [2]), ((255, 1, 7), [0, 2])])
def test_a_constant_channel_becomes_0_and_is_told(
    tmp_path: Path, channels: Any, constant: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    from helpers import loaded

    info = prepare(coloured(*channels), data_settings(), tmp_path / "prepared")
    assert f"channels {constant} (from 0) have one value" in capsys.readouterr().out
    assert [info["std"][channel] for channel in constant] == [1.0] * len(constant)
    data = loaded(tmp_path / "prepared")
    images = data.normalise(data.train.images)
    assert bool(images.isfinite().all())
    assert float(images[:, constant].abs().max()) < 1e-6


def test_images_that_are_all_alike_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all pixels of all training images are equal"):
        prepare(coloured(0, 0, 9), data_settings(), tmp_path / "prepared")
    assert list(tmp_path.iterdir()) == []
