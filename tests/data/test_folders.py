"""One's own images: which files are read, what is left out and said, what is refused."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stagewise.data import folders
from stagewise.data.folders import TOOLS, listing_fingerprint, read_tree
from stagewise.data.sources import image_folder
from stagewise.errors import UserError

RANDOM = np.random.default_rng(0)


def picture(file: Path) -> Path:
    """A picture that is like no other."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG" if file.suffix.lower() == ".png" else None)
    return file


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(4):
            picture(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def names(root: Path) -> dict[str, list[str]]:
    return {
        name: [os.path.relpath(file, root) for file in files]
        for name, files in read_tree("data.path", root).classes.items()
    }


PLAIN = {name: [f"{name}/{number}.png" for number in range(4)] for name in ("cat", "dog")}


def refused(root: Path, part: str, **options: str) -> None:
    """Planning and loading refuse a folder in the same line."""
    for call in (
        lambda: image_folder.facts(path=str(root), **options),
        lambda: image_folder.load(Path(), path=str(root), **options),
    ):
        with pytest.raises(UserError, match=part) as caught:
            call()
        assert "\n" not in str(caught.value)
        str(caught.value).encode()


# -- what is left out ----------------------------------------------------------------------------

LEFT_OUT = [
    (".thumbnails/0.png", "hidden"),
    (".ipynb_checkpoints/0-checkpoint.png", "hidden"),
    ("._0.png", "hidden"),
    ("deep/.AppleDouble/0.png", "hidden"),
    ("@eaDir/0.png", "of a system or tool"),
    ("__MACOSX/0.png", "of a system or tool"),
    ("$RECYCLE.BIN/0.png", "of a system or tool"),
    ("System Volume Information/0.png", "of a system or tool"),
    ("lost+found/0.png", "of a system or tool"),
    ("Thumbs.db", "of a system or tool"),
    ("0.heic", "no picture that can be read (ending .heic)"),
    ("notes", "no picture that can be read (another ending, or none)"),
]


@pytest.mark.parametrize(("name", "reason"), LEFT_OUT)
@pytest.mark.parametrize("below", ["cat", "cat/any/where"])
def test_what_is_no_picture_of_one_s_own_is_left_out_and_said(
    pets: Path, name: str, reason: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = pets / below / name
    odd.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(pets / "cat" / "0.png", odd)
    assert names(pets) == PLAIN
    image_folder.load(Path(), path=str(pets))
    said = capsys.readouterr().out
    # hidden folders and those of tools are one line, whatever they hold
    assert f"left out, {reason}: 1 ({below}/" in said
    assert len([line for line in said.splitlines() if "left out" in line]) == 1


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_folders_of_tools_are_no_classes(pets: Path, name: str) -> None:
    picture(pets / name.upper() / "0.png")
    picture(pets / ".hidden" / "0.png")
    assert names(pets) == PLAIN


def test_a_class_may_begin_with_an_underscore(pets: Path) -> None:
    for number in range(3):
        picture(pets / "_noise_" / f"{number}.png")
    assert list(names(pets)) == ["_noise_", "cat", "dog"]
    assert image_folder.facts(path=str(pets))["IMAGES"] == [3, 4, 4]


def test_all_endings_of_pictures_count(pets: Path) -> None:
    endings = (".jfif", ".JPE", ".gif", ".avif", ".Webp", ".jp2", ".tga", ".qoi")
    for number, ending in enumerate(endings):
        shutil.copy(pets / "cat" / "0.png", pets / "cat" / f"more-{number}{ending}")
    assert len(names(pets)["cat"]) == 4 + len(endings)


def test_what_lies_beside_the_classes_is_said(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(pets / "stray.png")
    (pets / "README.txt").write_text("")
    image_folder.load(Path(), path=str(pets))
    said = capsys.readouterr().out
    assert "left out, outside the class folders: 2 (README.txt, stray.png)" in said


def test_what_is_left_out_of_an_empty_class_is_in_the_message(pets: Path) -> None:
    for file in (pets / "dog").iterdir():
        file.rename(file.with_suffix(".heic"))
    refused(pets, r"class 'dog' .* holds no image .*left out there, .*ending \.heic\): 4\); add")


# -- links ---------------------------------------------------------------------------------------


def loop(cat: Path) -> None:
    (cat / "again").symlink_to(cat)


def loop_of_two(cat: Path) -> None:
    (cat / "one").mkdir()
    (cat / "two").mkdir()
    (cat / "one" / "to-two").symlink_to(cat / "two")
    (cat / "two" / "to-one").symlink_to(cat / "one")


def up(cat: Path) -> None:
    (cat / "up").symlink_to("..")


def far_up(cat: Path) -> None:
    (cat / "deep").mkdir()
    (cat / "deep" / "root").symlink_to("/")


def same_files(cat: Path) -> None:
    for number in range(40):
        (cat / f"link-{number}.png").symlink_to("0.png")


def same_folder(cat: Path) -> None:
    (cat / "a-link").symlink_to("real")
    (cat / "real").mkdir()
    for file in cat.glob("*.png"):
        (cat / "real" / file.name).symlink_to(file)


def broken(cat: Path) -> None:
    (cat / "broken.png").symlink_to("nowhere.png")


def itself(cat: Path) -> None:
    (cat / "itself.png").symlink_to("itself.png")


def pipe(cat: Path) -> None:
    os.mkfifo(cat / "pipe.png")


def device(cat: Path) -> None:
    (cat / "zero.png").symlink_to("/dev/zero")


def system(cat: Path) -> None:
    (cat / "proc").symlink_to("/proc")


CHANGES = [loop, loop_of_two, up, far_up, same_files, same_folder, broken, itself, pipe, device]


@pytest.mark.parametrize("change", [*CHANGES, system])
def test_each_real_picture_is_read_once(
    pets: Path, change: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    change(pets / "cat")
    assert names(pets) == PLAIN
    image_folder.load(Path(), path=str(pets))
    assert "left out, " in capsys.readouterr().out


def test_links_to_elsewhere_are_followed(pets: Path, tmp_path: Path) -> None:
    elsewhere = picture(
        tmp_path / "store" / ".cache" / "12ab.png"
    )  # as git-annex and DVC have them
    (pets / "cat" / "annexed.png").symlink_to(elsewhere)
    (pets / "cow").symlink_to(tmp_path / "cows")
    for number in range(3):
        picture(tmp_path / "cows" / f"{number}.png")
    found = names(pets)
    assert "cat/annexed.png" in found["cat"]
    assert len(found["cow"]) == 3


@pytest.mark.parametrize("target", ["dog", "dog/0.png"])
def test_a_link_into_another_class_is_refused(pets: Path, target: str) -> None:
    (pets / "cat" / f"link{Path(target).suffix}").symlink_to(pets / target)
    refused(pets, r"in two classes \(cat/link.* = dog/0\.png")


def test_a_class_that_is_a_link_to_another_is_refused(pets: Path) -> None:
    (pets / "kitten").symlink_to("cat")
    refused(pets, r"has 4 pictures in two classes \(cat/0\.png = kitten/0\.png, ")


def test_the_same_pixels_in_two_classes_are_refused(pets: Path) -> None:
    with Image.open(pets / "cat" / "2.png") as image:
        image.save(pets / "dog" / "other.bmp")
    with pytest.raises(UserError, match=r"1 pictures are in two classes \(.*cat/2\.png = .*\.bmp"):
        image_folder.load(Path(), path=str(pets), image_size=8)


# -- what is refused -----------------------------------------------------------------------------


def arranged(pets: Path, *splits: str) -> None:
    for split in splits:
        shutil.copytree(pets, pets.parent / "set" / split)


@pytest.mark.parametrize(
    "splits",
    [
        ("train", "val", "test"),
        ("train", "test"),
        ("Training", "Validation"),
        ("train2017", "val2017"),
        ("test_set", "training_set", "notes"),
        ("dev", "train"),
    ],
)
def test_splits_are_no_classes(pets: Path, splits: tuple[str, ...]) -> None:
    arranged(pets, *splits)
    refused(
        pets.parent / "set", r"holds splits \(.*\), not classes; write path: .*/set/.*test_path"
    )


def test_the_mend_for_splits_works(pets: Path) -> None:
    arranged(pets, "train", "val", "test")
    root = pets.parent / "set"
    with pytest.raises(UserError) as caught:
        image_folder.facts(path=str(root))
    assert f"write path: {root}/train and test_path: {root}/test" in str(caught.value)


def test_splits_below_each_class_are_refused(pets: Path) -> None:
    for name in ("cat", "dog"):
        for split in ("train", "test"):
            picture(pets / name / split / "0.png")
    refused(pets, r"pets/cat' holds splits \(test, train\), not one set; sort the classes")


def test_a_class_may_be_called_train(pets: Path) -> None:
    for number in range(3):
        picture(pets / "train" / f"{number}.png")
    assert list(names(pets)) == ["cat", "dog", "train"]


@pytest.mark.parametrize("inside", [".", "cat", ".."])
def test_a_test_folder_inside_the_other_is_refused(pets: Path, inside: str) -> None:
    refused(pets, "data.test_path: .* in one another", test_path=str(pets / inside))


@pytest.mark.parametrize("path", ["/", "/proc", "/sys", "/dev", "/proc/self", "/proc/self/root"])
def test_folders_of_the_system_are_refused_at_once(path: str) -> None:
    refused(Path(path), "is a folder of the system; name the folder that holds")


def test_a_walk_ends(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MOST", 9)
    refused(pets, "holds more than 9 files and folders; name the folder that holds")


def test_a_folder_that_cannot_be_read_is_named(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def closed(path: str) -> object:
        if path.endswith("cat"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(folders.os, "scandir", closed)
    refused(pets, r"pets/cat' cannot be read \(Permission denied\)")


def test_names_that_no_record_can_hold_are_refused(pets: Path) -> None:
    for name, shown in ((b"caf\xe9", r"caf\\udce9"), (b"two\nlines", r"two\\nlines")):
        folder = os.path.join(os.fsencode(pets), name)
        os.mkdir(folder)
        refused(pets, f"class folder '.*{shown}' is no printable UTF-8; rename it")
        os.rmdir(folder)


def test_file_names_of_stray_bytes_are_read(pets: Path) -> None:
    for name in (b"caf\xe9.png", b"two\nlines.png", b"{x}.png", b"sp ace%.png", b"-x.png"):
        picture(Path(os.fsdecode(os.path.join(os.fsencode(pets), b"cat", name))))
    assert len(names(pets)["cat"]) == 9
    assert len(image_folder.load(Path(), path=str(pets)).labels) == 13
    (pets / "cat" / os.fsdecode(b"\xff.txt")).touch()
    image_folder.load(Path(), path=str(pets))


@pytest.mark.parametrize("name", ["{x}", "$HOME", "a b", "é", "%s", "{", "'", "-rf", "日本"])
def test_any_printable_name_is_a_class(pets: Path, name: str) -> None:
    (pets / "dog").rename(pets / name)
    raw = image_folder.load(Path(), path=str(pets))
    assert sorted(raw.classes) == sorted(["cat", name])


def test_one_name_in_two_spellings_of_unicode_is_one_class(pets: Path, tmp_path: Path) -> None:
    shutil.copytree(pets, tmp_path / "test")
    (pets / "dog").rename(pets / "caf\u00e9")
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "cafe\u0301")  # as macOS writes it
    facts = image_folder.facts(path=str(pets), test_path=str(tmp_path / "test"))
    assert facts["CLASSES"] == 2
    shutil.copytree(pets / "caf\u00e9", pets / "cafe\u0301")
    refused(pets, "holds two folders that read as")


def test_the_home_folder_may_be_written_as_a_tilde(
    pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(pets.parent))
    facts = image_folder.facts(path="~/pets")
    assert facts["FOLDERS"] == {"path": str(pets)}
    assert facts["CLASSES"] == 2
    assert len(image_folder.load(Path(), path="~/pets").labels) == 8
    with pytest.raises(UserError, match=r"data\.path: '~nobody-here/x': no such user"):
        image_folder.facts(path="~nobody-here/x")


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "\ud800"])
def test_a_path_that_cannot_be_is_no_folder(path: str) -> None:
    assert "CLASSES" not in image_folder.facts(path=path)
    with pytest.raises(UserError, match="is no folder; correct it") as caught:
        image_folder.load(Path(), path=path)
    assert len(str(caught.value).encode()) < 500


# -- what is new ---------------------------------------------------------------------------------


def added(pets: Path) -> None:
    shutil.copy2(pets / "cat" / "0.png", pets / "cat" / "deep" / "new.png")


def removed(pets: Path) -> None:
    (pets / "cat" / "deep" / "old.png").unlink()


def renamed(pets: Path) -> None:
    (pets / "cat" / "deep" / "old.png").rename(pets / "cat" / "deep" / "older.png")


def changed(pets: Path) -> None:
    picture(pets / "cat" / "deep" / "old.png")


def moved(pets: Path) -> None:
    (pets / "cat" / "deep" / "old.png").rename(pets / "dog" / "old.png")


@pytest.mark.parametrize("change", [added, removed, renamed, changed, moved])
def test_another_listing_is_noticed_whatever_folders_times_say(
    pets: Path, change: Callable[[Path], None]
) -> None:
    picture(pets / "cat" / "deep" / "old.png")
    places = [pets, *(Path(place) for place, _, _ in os.walk(pets))]
    times = {place: place.stat().st_mtime_ns for place in places}
    before = listing_fingerprint([str(pets)])
    change(pets)
    for place, time in times.items():  # as cp -a and rsync -a leave them
        os.utime(place, ns=(time, time))
    assert listing_fingerprint([str(pets)]) != before


def test_the_listing_is_that_of_the_pictures_wherever_they_lie(pets: Path) -> None:
    before = listing_fingerprint([str(pets)])
    (pets / "cat" / "Thumbs.db").touch()
    (pets / ".git").mkdir()
    (pets / "notes.txt").touch()
    assert listing_fingerprint([str(pets)]) == before
    assert image_folder.load(Path(), path=str(pets)).notes == {"listing": before}
    pets.rename(pets.parent / "moved")
    assert listing_fingerprint([str(pets.parent / "moved")]) == before
