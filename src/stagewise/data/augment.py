"""Augmentations of whole batches, on their device.

What happens to an image is a function of (seed, epoch, index) alone, whatever the batch, its order
or the device's global random state. ``images`` are (B, C, H, W), ``index`` (B,) int64 are the
images' numbers in the training set, ``epoch`` is a number or one for each image.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import radians

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = (
    number - (1 << 64)  # the same 64 bits, read as int64
    for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
ROTATE, MIXUP, AUTOAUGMENT, NEGATIVES, CUTMIX, EITHER, RANDAUGMENT, CUTOUT = range(8)
"""Streams: nothing that is drawn reuses another's numbers."""


def uniform(stream: int, seed: int, epoch: int | Tensor, index: Tensor, draws: int) -> Tensor:
    """(B, draws) float32 in [0, 1): a counter, hashed as by SplitMix64 (Steele et al., 2014)."""
    state = torch.zeros_like(index)
    for part in (stream, seed, epoch):
        state = _mix(state + part + GOLDEN)
    state = _mix(state + index + GOLDEN)
    steps = torch.arange(1, draws + 1, device=index.device) * GOLDEN
    return _shifted(_mix(state[:, None] + steps), 40).float() * 2**-24


def _mix(state: Tensor) -> Tensor:
    state = (state ^ _shifted(state, 30)) * FIRST
    state = (state ^ _shifted(state, 27)) * SECOND
    return state ^ _shifted(state, 31)


def _shifted(state: Tensor, bits: int) -> Tensor:
    """A logical shift to the right; that of int64 would keep the sign."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


def resample(images: Tensor, matrix: Tensor) -> Tensor:
    """Each pixel from the nearest one to where ``matrix`` (B, 2, 3) sends its (x, y, 1).

    (x, y) are counted from the image's centre. Pixels from outside are 0; the dtype stays.
    """
    height, width = images.shape[2:]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = torch.arange(width, device=images.device) - middle_x
    y = (torch.arange(height, device=images.device) - middle_y)[:, None]
    # element by element, not as a matrix product, whose rounding depends on the batch
    rows = [m[:, 0, None, None] * x + m[:, 1, None, None] * y for m in matrix.unbind(1)]
    shifts = matrix[:, :, 2, None, None].unbind(1)
    column = (rows[0] + shifts[0] + middle_x).round().long()
    row = (rows[1] + shifts[1] + middle_y).round().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    place = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)
    found = images.flatten(2).gather(2, place[:, None].expand(-1, images.shape[1], -1))
    return found.view_as(images) * inside[:, None]


def rotation(degrees: Tensor) -> Tensor:
    """(B, 2, 3) matrices for ``resample`` that turn images counter-clockwise."""
    angle = degrees * radians(1)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero], 1).view(-1, 2, 3)


def rotate(
    images: Tensor, seed: int, epoch: int | Tensor, index: Tensor, *, degrees: float
) -> Tensor:
    """Images turned by up to ``degrees`` either way, their corners filled with 0.

    Paper B's Tiny ImageNet recipe has 20 degrees.
    """
    angle = (2 * uniform(ROTATE, seed, epoch, index, 1)[:, 0] - 1) * degrees
    return resample(images, rotation(angle))


@dataclass(frozen=True)
class Mixed:
    """``images``, each its own in part, its partner's for the rest, in the range of the originals.

    ``partner`` (B,): the place in the batch of each image's partner. ``share`` (B,) float32: how
    much is its own. The loss on labels is share * CE(own label) + (1 - share) * CE(partner's
    label).
    """

    images: Tensor
    partner: Tensor
    share: Tensor


def mixup(images: Tensor, seed: int, epoch: int | Tensor, index: Tensor, *, alpha: float) -> Mixed:
    """Mixup (Zhang et al., ICLR 2018): share * own + (1 - share) * partner's, as float32, with
    share ~ Beta(alpha, alpha).

    A share depends on the image alone. Partners are neighbours in a random order of the batch's
    images, so they depend on which images the batch holds, not on their order.
    """
    drawn = uniform(MIXUP, seed, epoch, index, 2)
    partner = _partners(drawn[:, 0])
    share = _beta(alpha, drawn[:, 1])
    own = share.view(-1, 1, 1, 1)
    mixed = own * images.float() + (1 - own) * images[partner].float()
    return Mixed(mixed, partner, share)


def cutmix(images: Tensor, seed: int, epoch: int | Tensor, index: Tensor, *, alpha: float) -> Mixed:
    """CutMix (Yun et al., ICCV 2019, arXiv 1905.04899): a box of the partner's pixels in the image.

    The box has the image's shape, an area of 1 - λ with λ ~ Beta(alpha, alpha), and its centre
    anywhere, so that a part of it may lie outside. ``share`` is what the image keeps of its own,
    counted in pixels. Box and share depend on the image alone, partners are as in ``mixup``.
    """
    height, width = images.shape[2:]
    drawn = uniform(CUTMIX, seed, epoch, index, 4)
    partner = _partners(drawn[:, 0])
    cut = (1 - _beta(alpha, drawn[:, 1])).sqrt()
    inside, area = box(drawn[:, 2:], cut * width, cut * height, height, width)
    mixed = torch.where(inside[:, None], images[partner], images)
    return Mixed(mixed, partner, 1 - area / (height * width))


def mix(
    images: Tensor,
    seed: int,
    epoch: int | Tensor,
    index: Tensor,
    *,
    mixup_by: float,
    cutmix_by: float,
) -> Mixed:
    """``mixup`` and ``cutmix`` by their alphas, of which one may be 0, which is none; of two, each
    image takes one, by an even draw."""
    if not cutmix_by:
        return mixup(images, seed, epoch, index, alpha=mixup_by)
    cut = cutmix(images, seed, epoch, index, alpha=cutmix_by)
    if not mixup_by:
        return cut
    blend = mixup(images, seed, epoch, index, alpha=mixup_by)
    takes = uniform(EITHER, seed, epoch, index, 1)[:, 0] < 0.5
    return Mixed(
        torch.where(takes.view(-1, 1, 1, 1), blend.images, cut.images),
        torch.where(takes, blend.partner, cut.partner),
        torch.where(takes, blend.share, cut.share),
    )


def box(
    centre: Tensor, wide: Tensor, high: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Boxes of ``wide`` and ``high`` pixels (B,), rounded down to twice a whole number, around a
    pixel that ``centre`` (B, 2) in [0, 1) draws, as far as they lie in the image: where they are
    (B, H, W), and of how many pixels (B,)."""
    sides = []
    for at, size, most in ((centre[:, 0], wide, width), (centre[:, 1], high, height)):
        middle, half = (at * most).long(), (size / 2).long()
        first, last = (middle - half).clamp(min=0), (middle + half).clamp(max=most)
        place = torch.arange(most, device=at.device)
        sides.append((place >= first[:, None]) & (place < last[:, None]))
    columns, rows = sides
    return rows[:, :, None] & columns[:, None], rows.sum(1) * columns.sum(1)


def _partners(drawn: Tensor) -> Tensor:
    """The place of each image's partner: neighbours in the order of (B,) random numbers."""
    order = drawn.argsort(stable=True)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    return partner


def _beta(alpha: float, drawn: Tensor) -> Tensor:
    """Of Beta(alpha, alpha), by uniform numbers (B,)."""
    quantiles = _beta_quantiles(alpha, drawn.device)
    place = drawn * (len(quantiles) - 1)
    low = place.long()
    return quantiles[low].lerp(quantiles[low + 1], place - low)


@lru_cache
def _beta_quantiles(alpha: float, device: torch.device) -> Tensor:
    """Quantiles of Beta(alpha, alpha) at 0, 1/4096, …, 1: drawing from them is a look-up."""
    from scipy.stats import beta

    quantiles = beta.ppf([step / 4096 for step in range(4097)], alpha, alpha)
    return torch.tensor(quantiles, dtype=torch.float32, device=device)
