"""Published sets as people keep them: in folders of data sets, sorted anew, with parts missing."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from stagewise.data.archives import Limits
from stagewise.data.sources import cifar100, tiny_imagenet
from stagewise.errors import UserError

CIFAR = {"train": b"t" * 900, "test": b"u" * 400, "meta": b"m" * 50}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torchvision's root folder: the unpacked set, its archive, other sets, a link."""
    monkeypatch.setattr(cifar100, "LIMITS", Limits(members=10, file=1000, all=2000))
    unpacked = tmp_path / "root" / "cifar-100-python"
    unpacked.mkdir(parents=True)
    for name, content in CIFAR.items():
        (unpacked / name).write_bytes(content)
    (unpacked / "file.txt~").write_bytes(b"")
    shutil.make_archive(str(unpacked), "gztar", tmp_path / "root", "cifar-100-python")
    for number in range(30):
        (tmp_path / "root" / "MNIST" / str(number)).mkdir(parents=True)
    (tmp_path / "root" / "large.bin").write_bytes(bytes(10_000))
    (tmp_path / "root" / "link").symlink_to("MNIST")
    return tmp_path / "root"


def wrong(path: Path) -> str:
    """Why ``cifar100`` refuses a place, for files whose sums are not the published ones."""
    with pytest.raises(UserError) as caught:
        cifar100.read(path)
    return str(caught.value)


def test_torchvision_s_root_folder_is_a_place_of_cifar(root: Path) -> None:
    for_files = wrong(root)
    assert all(f"'{name}' has MD5" in for_files for name in CIFAR)
    assert wrong(root / "cifar-100-python") == for_files


def test_so_is_a_folder_that_holds_the_archive(root: Path) -> None:
    shutil.rmtree(root / "cifar-100-python")
    (root / "cifar-100-python.tar.gz").rename(root / "other")
    assert "MD5" not in wrong(root)
    (root / "other").rename(root / "cifar-100-python.tar.gz")
    assert all(f"'{name}' has MD5" in wrong(root) for name in CIFAR)


def test_only_wanted_files_of_a_folder_count(root: Path) -> None:
    (root / "cifar-100-python" / "notes.bin").write_bytes(bytes(10_000))
    assert "'train' has MD5" in wrong(root)
    (root / "cifar-100-python" / "train").write_bytes(bytes(1001))
    assert "'train' unpacks to more than 1,000 bytes" in wrong(root)


# -- Tiny ImageNet -------------------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny set in the official layout, whose manifest is the known one."""
    monkeypatch.setattr(tiny_imagenet, "FULL", 3)
    monkeypatch.setattr(tiny_imagenet, "PART", 2)
    path, labels, known = tmp_path / "tiny", "", {}
    for number, wnid in enumerate(("n00000001", "n00000002")):
        images = path / "train" / wnid / "images"
        images.mkdir(parents=True)
        (path / "val" / "images").mkdir(parents=True, exist_ok=True)
        for image in range(2):
            file = images / f"{wnid}_{image}.JPEG"
            Image.new("RGB", (64, 64), (90 * number, image, 0)).save(file, "JPEG")
            known[f"train/{wnid}/images/{file.name}"] = file.read_bytes()
        file = path / "val" / "images" / f"val_{number}.JPEG"
        Image.new("RGB", (64, 64), (90 * number, 200, 0)).save(file, "JPEG")
        known[f"val/images/{file.name}"] = file.read_bytes()
        labels += f"val_{number}.JPEG\t{wnid}\t0\t0\t9\t9\n"
    (path / "val" / "val_annotations.txt").write_text(labels)
    known["val/val_annotations.txt"] = labels.encode()
    (path / "words.txt").write_text("n00000001\tgoldfish\nn00000002\tcrane\n")
    monkeypatch.setattr(tiny_imagenet, "MANIFEST", tiny_imagenet.manifest(known))
    return path


def read(path: Path) -> tuple[list[int], list[int], list[int]]:
    raw = tiny_imagenet.read(path, subset=True, manifest_sha256=tiny_imagenet.MANIFEST)
    assert raw.test_images is not None
    assert raw.test_labels is not None
    red = raw.test_images[:, 0, 0, 0].tolist()
    return raw.labels.tolist(), raw.test_labels.tolist(), red


def sorted_into_classes(path: Path) -> None:
    """As the scripts do that make torchvision's ``ImageFolder`` read it."""
    for number, wnid in enumerate(("n00000001", "n00000002")):
        (path / "val" / wnid / "images").mkdir(parents=True)
        name = f"val_{number}.JPEG"
        (path / "val" / "images" / name).rename(path / "val" / wnid / "images" / name)
    (path / "val" / "images").rmdir()


def flattened(path: Path) -> None:
    for images in [*path.glob("train/*/images"), *path.glob("val/*/images")]:
        for file in images.iterdir():
            file.rename(images.parent / file.name)
        images.rmdir()


def in_a_root(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.mkdir()
    path.with_name("moved").rename(path / "tiny-imagenet-200")


def with_copies(path: Path) -> None:
    sorted_into_classes(path)
    (path / "val" / "images").mkdir()
    shutil.copy(path / "val/n00000001/images/val_0.JPEG", path / "val/images")


@pytest.mark.parametrize(
    "changes",
    [
        [sorted_into_classes],
        [sorted_into_classes, flattened],
        [flattened],
        [in_a_root],
        [with_copies],
    ],
)
def test_other_layouts_are_the_same_set(tiny: Path, changes: list[object]) -> None:
    expected = read(tiny)
    assert expected[:2] == ([0, 0, 1, 1], [0, 1])
    for change in changes:
        assert callable(change)
        change(tiny)
    assert read(tiny) == expected


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("val/val_annotations.txt", "'val/val_annotations.txt' is missing; put it back from"),
        ("words.txt", "'words.txt' is missing; put it back"),
        ("val/images/val_1.JPEG", "1 validation images, but 'val/val_annotations.txt' names 2"),
    ],
)
def test_what_is_missing_is_named(tiny: Path, name: str, part: str) -> None:
    (tiny / name).unlink()
    with pytest.raises(UserError, match=part):
        read(tiny)


def test_two_files_of_one_name_must_be_the_same(tiny: Path) -> None:
    with_copies(tiny)
    (tiny / "val/images/val_0.JPEG").write_bytes(b"other")
    with pytest.raises(UserError, match=r"two different files 'val/images/val_0\.JPEG'"):
        read(tiny)


def test_words_in_another_encoding_are_read(tiny: Path) -> None:
    (tiny / "words.txt").write_bytes(b"n00000001\tcaf\xe9\nn00000002\tcrane\n")
    assert read(tiny)[0] == [0, 0, 1, 1]
