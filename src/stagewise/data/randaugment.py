"""RandAugment and Cutout as semi-supervised learning has them: a strong view of whole batches.

RandAugment (Cubuk et al., NeurIPS 2020, arXiv 1909.13719) in the form of FixMatch (Sohn et al.,
NeurIPS 2020, arXiv 2001.07685): each image goes through two operations, drawn with replacement,
each to a degree that is drawn evenly from its range. The RandAugment(2, 10) of released code is
this one, and never reads its 10. Then Cutout (DeVries & Taylor 2017, arXiv 1708.04552).

As in ``augment``, all of it is a function of (seed, epoch, index); ``epoch`` may be any number that
tells one view from the next, like that of the step.
"""

from functools import lru_cache

import torch
from torch import Tensor

from stagewise.data.augment import CUTOUT, RANDAUGMENT, box, uniform
from stagewise.data.autoaugment import OPERATIONS, Functions, apply, shear_x

COUNT = 2
"""Operations that an image goes through."""

RANGES: dict[str, tuple[float, float]] = {
    "AutoContrast": (0, 0),
    "Brightness": (-0.95, -0.05),
    "Color": (-0.95, -0.05),
    "Contrast": (-0.95, -0.05),
    "Equalize": (0, 0),
    "Identity": (0, 0),
    "Posterize": (4, 8),
    "Rotate": (-30, 30),
    "Sharpness": (-0.95, -0.05),
    "ShearX": (-0.3, 0.3),
    "ShearY": (-0.3, 0.3),
    "Solarize": (0, 256),
    "TranslateX": (-0.3, 0.3),
    "TranslateY": (-0.3, 0.3),
}
"""Operation → least and largest degree, in the units of ``autoaugment``; of translations, in
shares of the image's width."""

FUNCTIONS: Functions = {
    name: {**OPERATIONS, "ShearX": shear_x}[name] for name in RANGES if name != "Identity"
}
"""Operation → function of uint8 images and degrees (B,)."""


def randaugment(images: Tensor, seed: int, epoch: int | Tensor, index: Tensor) -> Tensor:
    """Augmented images: uint8 (B, C, H, W), C being 1 or 3, to the same."""
    place, low, high = _tables(images.shape[3], images.device)
    drawn = uniform(RANDAUGMENT, seed, epoch, index, 2 * COUNT)
    for step in range(COUNT):
        which, where = drawn[:, 2 * step], drawn[:, 2 * step + 1]
        chosen = (which * len(RANGES)).long()
        degree = low[chosen].lerp(high[chosen], where)
        images = apply(images, place[chosen], degree, FUNCTIONS)
    return images


def cutout(images: Tensor, seed: int, epoch: int | Tensor, index: Tensor) -> Tensor:
    """Images with 0 in a square around a random pixel, as far as it lies inside; of normalised
    images 0 is the mean. Its side is drawn evenly, up to half of the image's width."""
    height, width = images.shape[2:]
    drawn = uniform(CUTOUT, seed, epoch, index, 3)
    side = drawn[:, 0] * width / 2 + 1  # to the nearest even number, not the one below
    inside, _ = box(drawn[:, 1:], side, side, height, width)
    return images.masked_fill(inside[:, None], 0)


@lru_cache
def _tables(width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of each operation: its place in ``FUNCTIONS`` (-1 where it changes nothing), and its
    range."""
    names, units = list(FUNCTIONS), {"TranslateX": width, "TranslateY": width}
    places = [names.index(name) if name in FUNCTIONS else -1 for name in RANGES]
    limits = [[units.get(name, 1) * end for end in ends] for name, ends in RANGES.items()]
    low, high = torch.tensor(limits, dtype=torch.float32, device=device).unbind(1)
    return torch.tensor(places, device=device), low, high
