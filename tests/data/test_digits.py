"""The source that needs no download: scikit-learn's handwritten digits."""

from pathlib import Path

import numpy as np
import pytest

from stagewise.data.sources import digits
from stagewise.data.sources.base import load_source
from stagewise.errors import UserError


def test_digits_are_the_1797_images_of_the_uci_set() -> None:
    raw = load_source("digits", {}, Path())
    assert raw.images.shape == (1797, 1, 8, 8)
    assert raw.images.dtype == np.uint8
    assert raw.classes == [str(digit) for digit in range(10)]
    counts = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.bincount(raw.labels).tolist() == counts


def test_grey_levels_are_spread_over_the_whole_range() -> None:
    from sklearn.datasets import load_digits

    grey = load_digits().images
    images = load_source("digits", {}, Path()).images[:, 0]
    assert (images.min(), images.max()) == (0, 255)
    for level in range(17):
        assert (images[grey == level] == round(level * 255 / 16)).all()


def test_other_bytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"SHA-256 e27fab79.*, not 0000"):
        digits.load(Path())
