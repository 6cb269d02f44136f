"""What one file's pixels become: depths, endings, broken notes, several damaged files at once."""

import io
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

from stagewise.data import decode as module
from stagewise.data.decode import decode
from stagewise.data.pixels import ENDINGS, FORMATS
from stagewise.errors import UserError

STEPS = (0.0, 0.25, 0.5, 1.0)
"""Grey levels of a test image's four columns, as shares of white."""


def one(content: bytes, size: int = 4) -> Any:
    return decode([("picture", content)], size, "test")[0]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey(white: int, kind: str = "<u2") -> Any:
    return np.tile(np.round(np.array(STEPS) * white), (4, 1)).astype(kind)


def tiff(
    data: bytes, bits: int, *, photometric: int = 1, sample: int = 1, order: str = "<"
) -> bytes:
    """A 4x4 TIFF of one channel, uncompressed; Pillow writes no 12 bits and no inverted ones."""
    tags = [(256, 4), (257, 4), (258, bits), (259, 1), (262, photometric), (277, 1), (278, 4)]
    tags += [(339, sample)]
    longs = [(273, 8), (279, len(data))]
    entries = [(tag, 3, value << (16 if order == ">" else 0)) for tag, value in tags]
    entries = sorted(entries + [(tag, 4, value) for tag, value in longs])
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack(f"{order}HHII", tag, kind, 1, value)
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8 + len(data))
    return header + data + directory + bytes(4)


def twelve_bits(values: Sequence[int]) -> bytes:
    """Two values in three bytes."""
    packed = b""
    for a, b in zip(values[::2], values[1::2], strict=True):
        packed += bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
    return packed


def pgm(white: int) -> bytes:
    kind = "u1" if white < 256 else ">u2"
    return b"P5\n4 4\n%d\n" % white + grey(white, kind).tobytes()


DEEP = {
    "png-16": saved(Image.fromarray(grey(65535)), "PNG"),
    "tiff-16": saved(Image.fromarray(grey(65535)), "TIFF"),
    "tiff-16-big-endian": tiff(grey(65535, ">u2").tobytes(), 16, order=">"),
    "tiff-16-white-is-zero": tiff((65535 - grey(65535)).tobytes(), 16, photometric=0),
    "tiff-12": tiff(twelve_bits(grey(4095).ravel().tolist()), 12),
    "jpeg-2000-16": saved(Image.fromarray(grey(65535)), "JPEG2000"),
    **{f"pgm-{white}": pgm(white) for white in (15, 255, 1023, 4095, 65535)},
    "png-1": saved(Image.fromarray(grey(1, "u1") > 0), "PNG"),
}


@pytest.mark.parametrize("name", DEEP)
def test_grey_of_every_depth_is_scaled_by_its_full_range(name: str) -> None:
    image = one(DEEP[name])
    levels = [0, 0, 0, 1] if name == "png-1" else STEPS
    for channel in image:
        for row in channel:
            assert row.tolist() == pytest.approx([255 * level for level in levels], abs=9)
    assert (image[:, :, 3] == 255).all()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (saved(Image.fromarray(grey(1, "f4")), "TIFF"), "floating-point"),
        (b"Pf\n4 4\n-1.0\n" + grey(1, "<f4").tobytes(), "floating-point"),
        (saved(Image.fromarray(grey(10**6, "i4")), "TIFF"), "32-bit or signed"),
        (tiff(grey(10**6, "<u4").tobytes(), 32), "32-bit or signed"),
        (tiff(grey(10**4, "<i2").tobytes(), 16, sample=2), "32-bit or signed"),
    ],
)
def test_values_whose_white_nobody_knows_are_refused_by_name(content: bytes, kind: str) -> None:
    with pytest.raises(UserError, match=f"^picture: .*{kind} values.*save it with 8 or 16 bits"):
        one(content)


def test_twelve_bits_in_a_file_for_sixteen_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    one(saved(Image.fromarray(grey(4095)), "PNG"))
    assert "1 have at most a sixteenth of white" in capsys.readouterr().out
    one(saved(Image.fromarray(grey(65535)), "PNG"))
    one(saved(Image.new("L", (4, 4), 0), "PNG"))
    assert "sixteenth" not in capsys.readouterr().out


def test_a_deep_image_is_turned_and_scaled_as_any_other() -> None:
    exif = Image.Exif()
    exif[274] = 6  # clockwise: left becomes top
    images = [
        one(saved(Image.fromarray(values.repeat(2, 0).repeat(2, 1)), "PNG", exif=exif))
        for values in (grey(65535), grey(255, "u1"))
    ]
    assert images[0].astype(int) == pytest.approx(images[1].astype(int), abs=1)
    assert (np.diff(images[0].astype(int), axis=1) > 0).all()


# -- formats -------------------------------------------------------------------------------------

SAVED_AS = {"DDS": None, "PSD": None, "SUN": None, "XPM": None, "AVIF": None}
"""Formats that Pillow reads but does not write, or writes in some builds only."""


def test_every_listed_format_is_one_that_pillow_reads() -> None:
    Image.init()
    known = Image.registered_extensions()
    for kind, endings in FORMATS.items():
        assert kind in Image.OPEN
        for ending in endings:
            assert known.get(ending) in {kind, "MPO", "DIB"}, ending
    assert {".jfif", ".jpe", ".gif", ".avif", ".webp", ".tif"} <= ENDINGS
    assert not ENDINGS & {".eps", ".ps", ".pdf", ".wmf", ".h5"}


def test_the_page_lists_the_endings() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    listed = page.split("files without an ending of these")[1].split("`")[1]
    assert set(listed.split()) == ENDINGS


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in SAVED_AS])
def test_a_picture_of_each_format_is_read(kind: str) -> None:
    size = (64, 64)
    colour, mode = ((255, 255, 255), "1") if kind == "XBM" else ((200, 80, 0), "RGB")
    image = Image.new("RGB", size, colour).convert(mode)
    # lossy formats miss by a little
    assert one(saved(image, kind), 64)[:, 30, 30].tolist() == pytest.approx(colour, abs=12)


def test_of_several_pictures_in_a_file_the_first_is_read() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert one(content)[:, 0, 0].tolist() == pytest.approx([255, 0, 0], abs=6), kind


# -- damage --------------------------------------------------------------------------------------

BROKEN_EXIF = [
    b"",
    b"Exif\0\0",
    b"nonsense",
    b"Exif\0\0MM\0*\0\0",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\xff\xff\xff\xff\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x02\0\x01\0\0\0\x06\0\0\0"
    b"\x69\x87\x0d\0\x01\0\0\0\xff\0\0\0",
]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Tag data larger")
@pytest.mark.parametrize("exif", BROKEN_EXIF)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_broken_exif_hides_no_good_pixels(kind: str, exif: bytes) -> None:
    content = saved(Image.new("RGB", (16, 16), (250, 0, 0)), kind, exif=exif)
    assert one(content, 16)[:, 8, 8].tolist() == pytest.approx([250, 0, 0], abs=6)


def test_a_broken_raw_profile_hides_no_good_pixels() -> None:
    from PIL import PngImagePlugin

    for text in ("exif\n 8\nzz", "\nexif\n\xff", "exif"):
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Raw profile type exif", text, zip=True)
        content = saved(Image.new("RGB", (8, 8), (1, 2, 250)), "PNG", pnginfo=notes)
        assert one(content)[:, 0, 0].tolist() == [1, 2, 250]


def test_all_damaged_files_are_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = saved(Image.new("RGB", (8, 8), (9, 9, 99)), "PNG")
    files = [(f"{n}.png", good if n % 3 else good[: n + 20]) for n in range(36)]
    with pytest.raises(UserError, match=r"^12 files cannot be read as images \(0\.png: ") as caught:
        decode(files, 8, "test")
    for number in range(0, 36, 3):
        assert f"{number}.png: " in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(module, "CHUNK", 4)  # by several processes
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(UserError, match=r"^12 files"):
        decode(files, 8, "test")
    capsys.readouterr()
    with pytest.raises(UserError, match=r"^60 files .*; …\); replace or remove them$"):
        decode([(f"many-{n}", b"") for n in range(60)], 8, "test")
    assert capsys.readouterr().out.count("cannot be read as an image: many-") == 60


def test_a_name_of_stray_bytes_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^caf\\udce9\\n: cannot be read") as caught:
        decode([(os.fsdecode(b"caf\xe9\n"), b"")], 8, "test")
    str(caught.value).encode()


def test_a_long_temporary_folder_breaks_no_decoding(tmp_path: Path) -> None:
    folder = tmp_path / ("t" * 120)
    folder.mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "import os\nfrom pathlib import Path\nfrom stagewise.data import decode\n"
        "if __name__ == '__main__':\n"
        "    decode.CHUNK = 2\n"
        "    decode.os.sched_getaffinity = lambda _: {0, 1}\n"
        f"    files = [(str(n), Path({str(tmp_path / 'x.png')!r})) for n in range(8)]\n"
        "    print(decode.decode(files, 4, 'test').shape)\n"
    )
    (tmp_path / "x.png").write_bytes(saved(Image.new("RGB", (4, 4)), "PNG"))
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, str(program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("(8, 3, 4, 4)\n"), done.stderr
