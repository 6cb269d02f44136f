"""What a data source gives, and how a name becomes one."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise import catalogue

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RawData:
    """``images`` (N, C, H, W) uint8 and ``labels`` (N,) int64; a source with a test set of its own
    gives it in ``test_images`` and ``test_labels``.

    ``own_images``: a user's, whose copies are kept together when splits are drawn; a published set
    is split as it is. ``notes``: what is worth keeping beside, such as the ``listing`` of folders.
    """

    images: Images
    labels: Labels
    classes: list[str]
    test_images: Images | None = None
    test_labels: Labels | None = None
    notes: dict[str, str] = field(default_factory=dict)
    own_images: bool = False


def load_source(name: str, options: dict[str, Any], cache: Path) -> RawData:
    """The data of the source ``name`` (a file of this folder); ``cache`` is for what it fetches."""
    module = importlib.import_module(catalogue.module_name(catalogue.sources()[name]))
    raw: RawData = module.load(cache, **options)
    return raw
