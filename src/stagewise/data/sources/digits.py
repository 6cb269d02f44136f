"""The optical recognition of handwritten digits data set (Alpaydin & Kaynak, UCI, 1998; CC BY 4.0).

1,797 real 8x8 grey images of ten digits, shipped inside scikit-learn: nothing is downloaded.
"""

from pathlib import Path

import numpy as np

from stagewise.data.arrays import content_sha256
from stagewise.data.raw import RawData
from stagewise.errors import UserError

SIZE = 8
CHANNELS = 1
CLASSES = 10
IMAGES = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
HAS_TEST = False
"""What planning knows of the data: image size, channels, classes, images of each, a test set of its
own."""

SHA256 = "e27fab79110531085aa1489acfc16bb2eb24ab24bd1be2726a06b182fceb87af"
"""Of the images and labels as scikit-learn ships them."""


def load(cache: Path) -> RawData:
    """(1797, 1, 8, 8) images, their 17 grey levels spread over 0 to 255.

    Raises:
        UserError: scikit-learn ships other bytes than those that this project was checked with.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey, labels = bunch.images.astype(np.uint8), bunch.target.astype(np.int64)
    found = content_sha256(grey, labels)
    if found != SHA256:
        raise UserError(
            f"scikit-learn's digits have SHA-256 {found}, not {SHA256};"
            " install the locked version (make install)"
        )
    images = np.round(grey * (255 / 16)).astype(np.uint8)[:, None]
    return RawData(images, labels, [str(digit) for digit in range(10)])
