"""One image file as pixels: which formats are read, and how their values become 0 to 255."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stagewise.data.raw import Images

if TYPE_CHECKING:
    from PIL import Image

FORMATS: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp", ".dib"),
    "DDS": (".dds",),
    "GIF": (".gif",),
    "ICNS": (".icns",),
    "ICO": (".ico",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PCX": (".pcx",),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "XBM": (".xbm",),
    "XPM": (".xpm",),
}
"""Pillow's format → endings of its files: all that are pictures of pixels and need no other program
(PostScript would start one)."""

ENDINGS = frozenset(ending for endings in FORMATS.values() for ending in endings)

BITS_PER_SAMPLE, PHOTOMETRIC, ORIENTATION = 258, 262, 274
"""TIFF's tags; the last is EXIF's too."""
WHITE_IS_ZERO = 0
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
SCALED_TO_16_BITS = (("PPM", "I"), ("PNG", "I"))
"""Formats that Pillow gives as 32-bit numbers whose white is that of 16 bits."""


def read_pixels(place: Path | bytes, size: int) -> Images:
    """(3, size, size) of one file, of its first picture if it holds several, turned upright as its
    camera noted.

    Raises:
        Exception: nearly any, with a reason, where this is no image or its range is not known.
    """
    from PIL import Image, UnidentifiedImageError

    source = io.BytesIO(place) if isinstance(place, bytes) else place
    try:
        opened = Image.open(source, formats=tuple(FORMATS))
    except UnidentifiedImageError:
        raise ValueError("no picture in a format that is read") from None
    with opened as image:
        return fitted(image, size)


def fitted(image: "Image.Image", size: int) -> Images:
    """(3, size, size) of a picture, turned upright, scaled and cropped to the centre.

    Raises:
        ValueError: its range is not known.
    """
    from PIL import Image, ImageOps

    turn = _turn(image)
    plain = _eight_bits(image)
    upright = (plain if turn is None else plain.transpose(turn)).convert("RGB")
    if upright.size != (size, size):
        upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(upright).transpose(2, 0, 1)


def _turn(image: "Image.Image") -> "Image.Transpose | None":
    """How the image is turned upright; None where it is, or its EXIF block cannot be read."""
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        return turns.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken notes beside the pixels, which may be good
        return None


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Grey values of more than 8 bits scaled by their format's full range; all else as it is."""
    from PIL import Image

    tags = getattr(image, "tag_v2", {})  # a TIFF's
    if image.mode in SIXTEEN_BITS:
        bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    elif (image.format, image.mode) in SCALED_TO_16_BITS:
        bits = 16
    elif image.mode[0] in "IF":
        kind = "floating-point" if image.mode == "F" else "32-bit or signed"
        raise ValueError(f"{kind} values, whose white is not known: save it with 8 or 16 bits")
    else:
        return image
    white = 2**bits - 1
    values = np.asarray(image).astype(np.int64)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values
    scaled = (values * 255 + white // 2) // white
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
