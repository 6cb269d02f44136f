"""CIFAR-100, Tiny ImageNet and own images, from tiny archives of the same layouts."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stagewise.data import decode
from stagewise.data.pickles import unpickled
from stagewise.data.sources import cifar100, image_folder, tiny_imagenet
from stagewise.errors import UserError

Files = dict[str, bytes]


def tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def picture(colour: Any = 0, size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(stream, kind)
    return stream.getvalue()


# -- CIFAR-100 -----------------------------------------------------------------------------------


def cifar_files() -> Files:
    """Ten training images and five for the test, in CIFAR's layout."""
    generator = np.random.default_rng(0)

    def split(count: int) -> bytes:
        data = generator.integers(0, 256, (count, 3072), np.uint8)
        labels = [n % 2 for n in range(count)]
        return pickle.dumps({b"data": data, b"fine_labels": labels, b"filenames": [b"x"] * count})

    names = pickle.dumps({b"fine_label_names": [b"apple", b"bear"], b"coarse_label_names": []})
    files = {"train": split(10), "test": split(5), "meta": names, "file.txt~": b""}
    return {f"cifar-100-python/{name}": content for name, content in files.items()}


def sums(files: Files) -> dict[str, str]:
    wanted = {name.rpartition("/")[2]: content for name, content in files.items()}
    return {name: hashlib.md5(wanted[name]).hexdigest() for name in ("train", "test", "meta")}


def test_cifar_is_read_by_its_files_sums_wherever_they_lie(tmp_path: Path) -> None:
    files = cifar_files()
    raw = cifar100.read(tar(tmp_path / "any-name", files), sums(files))
    assert (raw.images.shape, raw.images.dtype) == ((10, 3, 32, 32), np.uint8)
    assert raw.test_images is not None
    assert raw.test_images.shape == (5, 3, 32, 32)
    assert (raw.labels.tolist(), raw.classes) == ([0, 1] * 5, ["apple", "bear"])
    data = unpickled(files["cifar-100-python/train"])["data"]
    assert (raw.images[3, 2, 1] == data[3, 2 * 1024 + 32 : 2 * 1024 + 64]).all()
    bare = tar(tmp_path / "bare", {name.rpartition("/")[2]: files[name] for name in files})
    assert (cifar100.read(bare, sums(files)).images == raw.images).all()


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_wrong_or_absent_file_is_named(tmp_path: Path, name: str) -> None:
    files = cifar_files()
    expected = sums(files)
    content = bytearray(files[f"cifar-100-python/{name}"])
    content[len(content) // 2] ^= 1
    wrong = tar(tmp_path / "wrong", {**files, f"cifar-100-python/{name}": bytes(content)})
    md5 = hashlib.md5(content).hexdigest()
    with pytest.raises(UserError, match=f"^'{name}' has MD5 {md5}, not {expected[name]}$"):
        cifar100.read(wrong, expected)
    del files[f"cifar-100-python/{name}"]
    with pytest.raises(UserError, match=f"^'{name}' is missing$"):
        cifar100.read(tar(tmp_path / "short", files), expected)


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_can_call_nothing(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({b"data": Trap(tmp_path / "ran")}, protocol)
    with pytest.raises(UserError, match="not a pickle of arrays"):
        unpickled(content)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)  # the trap would have worked
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"text", pickle.dumps([1]), pickle.dumps(None)])
def test_other_pickles_are_refused(content: bytes) -> None:
    with pytest.raises(UserError, match="not a pickle of arrays"):
        unpickled(content)


def test_a_pickle_of_python_2_is_read() -> None:
    """As CIFAR's: protocol 2, NumPy's old module names, byte strings."""
    content = (
        b"\x80\x02}q\x00U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85U\x01b\x87Rq\x04(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xfftbs."
    )
    assert unpickled(content)["data"].tolist() == [7, 255]


# -- Tiny ImageNet -------------------------------------------------------------------------------


@pytest.fixture
def small_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three training images a class, two in the subset."""
    monkeypatch.setattr(tiny_imagenet, "FULL", 3)
    monkeypatch.setattr(tiny_imagenet, "PART", 2)


def tiny_files(each: int) -> Files:
    """Two classes of single-coloured images, one of them grey, in the canonical layout."""
    files: Files = {
        "words.txt": b"n00000001\tgoldfish, Carassius auratus\nn00000002\tcrane, bird\n"
    }
    files["wnids.txt"] = b"n00000002\nn00000001\n"
    for number in range(each):
        files[f"train/n00000001/images/n00000001_{number}.JPEG"] = picture(40, kind="JPEG")
        colour = (200, 0, number)
        files[f"train/n00000002/images/n00000002_{number}.JPEG"] = picture(colour, kind="JPEG")
    files["train/n00000001/n00000001_boxes.txt"] = b"ignored"
    files["val/images/val_0.JPEG"] = picture((190, 0, 0), kind="JPEG")
    files["val/images/val_1.JPEG"] = picture(50, kind="JPEG")
    files["val/val_annotations.txt"] = (
        b"val_0.JPEG\tn00000002\t0\t0\t9\t9\nval_1.JPEG\tn00000001\t0\t0\t9\t9\n"
    )
    files["test/images/test_0.JPEG"] = b"no labels, not read"
    return {f"tiny-imagenet-200/{name}": content for name, content in files.items()}


def known_manifest(files: Files) -> str:
    kept = {}
    for name, content in files.items():
        match = tiny_imagenet.WANTED.match(name)
        if match and not name.endswith("_2.JPEG"):
            kept[match[1]] = content
    return tiny_imagenet.manifest(kept)


@pytest.mark.usefixtures("small_tiny")
@pytest.mark.parametrize("each", [2, 3])
def test_tiny_imagenet_is_read_and_its_validation_set_is_the_test(
    tmp_path: Path, each: int, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tiny_files(each)
    path = tar(tmp_path / "any", dict(reversed(files.items())))  # the order does not matter
    raw = tiny_imagenet.read(path, subset=each == 2, manifest_sha256=known_manifest(files))
    assert raw.images.shape == (2 * each, 3, 64, 64)
    assert raw.labels.tolist() == [0] * each + [1] * each
    assert raw.classes == ["goldfish", "crane"]
    assert (raw.images[0] == 40).all()  # grey became RGB
    assert raw.images[each, :, 0, 0].tolist() == pytest.approx([200, 0, 0], abs=3)
    assert raw.test_images is not None
    assert raw.test_labels is not None
    assert raw.test_labels.tolist() == [1, 0]
    assert (raw.test_images[1] == 50).all()
    assert ("not the official zip" in capsys.readouterr().out) == (each == 3)


@pytest.mark.usefixtures("small_tiny")
def test_the_full_set_and_the_subset_are_told_apart(tmp_path: Path) -> None:
    for each, hint in ((2, "data.subset: true"), (3, "data.subset: false")):
        path = tar(tmp_path / f"set-{each}", tiny_files(each))
        with pytest.raises(UserError, match=f"training images of 2 classes.*write {hint}$"):
            tiny_imagenet.read(path, subset=each == 3)


@pytest.mark.usefixtures("small_tiny")
def test_tiny_imagenet_with_another_image_or_label_is_refused(tmp_path: Path) -> None:
    files = tiny_files(2)
    expected = known_manifest(files)
    for name in ("train/n00000001/images/n00000001_1.JPEG", "val/val_annotations.txt"):
        other = {**files, f"tiny-imagenet-200/{name}": files[f"tiny-imagenet-200/{name}"] + b" "}
        with pytest.raises(UserError, match=f"have the manifest .*, not {expected}"):
            tiny_imagenet.read(tar(tmp_path / "x", other), subset=True, manifest_sha256=expected)
    del files["tiny-imagenet-200/train/n00000002/images/n00000002_0.JPEG"]
    with pytest.raises(UserError, match=r"3 training images of 2 classes, not 2 of each$"):
        tiny_imagenet.read(tar(tmp_path / "x", files), subset=True, manifest_sha256=expected)


def test_a_class_whose_first_word_is_another_classs_keeps_all_words() -> None:
    words = "n1\tcrane, bird\nn2\tcrane, machine\nn3\tsnail\n"
    names = tiny_imagenet._names(words, ["n1", "n2", "n3", "n4"])
    assert names == ["crane, bird", "crane, machine", "snail", "n4"]


# -- own images ----------------------------------------------------------------------------------


def folder(path: Path, each: int = 4, size: tuple[int, int] = (20, 12)) -> Path:
    for name, colour in (("cat", (200, 100, 0)), ("dog", (0, 100, 200))):
        for number in range(each):
            file = path / name / "deeper" / f"{number}.PNG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(colour, size))
    (path / ".hidden").mkdir()
    (path / "cat" / "notes.txt").write_text("not an image")
    return path


def test_own_images_are_read_by_folder(tmp_path: Path) -> None:
    path = str(folder(tmp_path / "pets"))
    raw = image_folder.load(tmp_path, path=path, image_size=16)
    assert (raw.images.shape, raw.test_images) == ((8, 3, 16, 16), None)
    assert (raw.labels.tolist(), raw.classes) == ([0] * 4 + [1] * 4, ["cat", "dog"])
    assert raw.images[0, :, 3, 5].tolist() == [200, 100, 0]
    test = str(folder(tmp_path / "more", each=1))
    raw = image_folder.load(tmp_path, path=path, test_path=test)
    assert raw.test_images is not None
    assert raw.test_images.shape == (2, 3, 64, 64)


def test_facts_of_own_images_are_known_before_any_is_read(tmp_path: Path) -> None:
    path = str(folder(tmp_path / "pets"))
    facts = image_folder.facts(path=path)
    assert (facts["CLASSES"], facts["IMAGES"], facts["HAS_TEST"]) == (2, [4, 4], False)
    assert "CLASSES" not in image_folder.facts(path=str(tmp_path / "absent"))


def no_classes(path: Path) -> None:
    (path / "dog").rename(path / "cat" / "dog")


def no_images(path: Path) -> None:
    for file in path.glob("dog/deeper/*"):
        file.unlink()


def few_images(path: Path) -> None:
    for file in [*path.glob("dog/deeper/*")][:2]:
        file.unlink()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (no_classes, "data.path: .*holds 1 folders"),
        (no_images, "data.path: class 'dog' in .* holds no image"),
        (few_images, "data.path: class 'dog' .* has 2 images, but the splits need 3"),
    ],
)
def test_a_folder_of_another_layout_is_refused(
    tmp_path: Path, change: Callable[[Path], None], part: str
) -> None:
    path = folder(tmp_path / "pets")
    change(path)
    with pytest.raises(UserError, match=part):
        image_folder.facts(path=str(path))


def test_other_classes_in_the_test_folder_are_refused(tmp_path: Path) -> None:
    path, test = folder(tmp_path / "pets"), folder(tmp_path / "test")
    (test / "dog").rename(test / "cow")
    with pytest.raises(UserError, match=r"data.test_path: .*different classes \(cow, dog\)"):
        image_folder.facts(path=str(path), test_path=str(test))


@pytest.mark.parametrize("content", [b"", b"text", picture(3)[:60], b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = folder(tmp_path / "pets")
    (path / "cat" / "bad.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"cat/bad.jpg: cannot be read as an image .*; replace or"):
        image_folder.load(tmp_path, path=str(path))


# -- decoding ------------------------------------------------------------------------------------


def test_images_are_scaled_and_cropped_to_their_centre() -> None:
    wide = Image.new("RGB", (40, 20), (255, 0, 0))
    wide.paste((0, 255, 0), (10, 0, 30, 20))
    stream = io.BytesIO()
    wide.save(stream, "PNG")
    image = decode.decode([("wide", stream.getvalue())], 10, "test")[0]
    assert (image[1] > image[0]).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 4, 8))  # the left half is blue
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: left becomes top
    image.save(tmp_path / "photo.png", exif=exif)
    upright = decode.decode([("photo", tmp_path / "photo.png")], 8, "test")[0]
    assert (upright[2, :4] == 255).all()
    assert (upright[0, 4:] == 255).all()


def test_processes_give_what_one_process_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(str(n), picture((n, 0, 255 - n), (8, 8))) for n in range(16)]
    alone = decode.decode(files, 8, "test")
    monkeypatch.setattr(decode, "CHUNK", 4)
    monkeypatch.setattr(decode.os, "sched_getaffinity", lambda _: {0, 1})
    assert (decode.decode(files, 8, "test") == alone).all()
    assert alone[:, 0, 0, 0].tolist() == list(range(16))
    with pytest.raises(UserError, match="bad: cannot be read"):
        decode.decode([*files, ("bad", b"")], 8, "test")
