"""What methods on feature maps share: which maps, and what leads from the student's to the
teacher's.

Maps are found by name, as the CRD benchmark's f[0] … f[-2] are by number: ``stem``, ``stage1`` ….
Where networks have different numbers of stages, the benchmark's ``zip`` pairs them from the
shallowest, so that the deepest is lost; here they are paired from the deepest.
"""

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from stagewise.errors import UserError
from stagewise.methods.base import Pair, full
from stagewise.models.features import Features


def depths(features: Features) -> list[str]:
    """Names of the maps of the stem and of the stages, shallow to deep: f[0] … f[-2]."""
    return [name for name in features.taps if "." not in name]


def last_map(features: Features) -> Tensor:
    """The last stage's map, (B, C, H, W): f[-2]."""
    return full(features.taps[depths(features)[-1]])


def from_deepest(student: list[str], teacher: list[str]) -> tuple[Pair, ...]:
    """Maps that are compared, of all that are named shallow to deep: paired from the deepest. One
    without a partner is left out."""
    count = min(len(student), len(teacher))
    return tuple(zip(student[-count:], teacher[-count:], strict=True))


def stage_pairs(student: Features, teacher: Features) -> tuple[Pair, ...]:
    """Stages whose maps are compared, f[1:-1], shallow to deep."""
    return from_deepest(depths(student)[1:], depths(teacher)[1:])


def spread_pairs(student: Features, teacher: Features, method: str) -> tuple[Pair, ...]:
    """Those of ``stage_pairs`` of which both maps have more than one pixel: normalised over space,
    a single one says nothing.

    Raises:
        UserError: none is left.
    """
    pairs = tuple(
        (own, other)
        for own, other in stage_pairs(student, teacher)
        if min(student.taps[own][0, 0].numel(), teacher.taps[other][0, 0].numel()) > 1
    )
    if not pairs:
        raise UserError(
            f"{method}: no two maps of student and teacher have more than one pixel, so there is"
            " nothing to compare; give larger images, or networks that shrink them less"
        )
    return pairs


def paired_maps(
    pairs: tuple[Pair, ...], student: Features, teacher: Features
) -> list[tuple[Tensor, Tensor]]:
    """The maps of each pair, (B, C, H, W), the larger one pooled to the smaller one's size."""
    return [of_one_size(full(student.taps[own]), full(teacher.taps[other])) for own, other in pairs]


def block_maps(features: Features) -> list[Tensor]:
    """The map of each block of each stage, (B, C, H, W), shallow to deep."""
    blocks = [name for name in features.taps if name.rpartition(".")[2].isdecimal()]
    return [full(features.taps[name]) for name in blocks]


def connector(student: Tensor, teacher: Tensor, what: str) -> nn.Sequential:
    """From maps like ``student`` to the shape of maps like ``teacher``, both (B, C, H, W):
    convolution, batch norm.

    The convolution is 3x3 of stride 2 where the student's map is twice as large, a transposed one
    of side 2s and stride s where its side is 1/s for an even s, else without padding, with a kernel
    of 1 + H_s - H_t. As the CRD benchmark's ``ConvReg``, which has no s but 2, without the bias
    that batch norm takes away.

    Raises:
        UserError: the student's map fits none of these; ``what`` names the maps.
    """
    inputs, outputs = student.shape[1], teacher.shape[1]
    side, wanted = student.shape[2], teacher.shape[2]
    conv: nn.Module
    if side == 2 * wanted:
        conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    elif wanted % (2 * side) == 0:
        step = wanted // side
        conv = nn.ConvTranspose2d(inputs, outputs, 2 * step, step, step // 2, bias=False)
    elif side >= wanted:
        conv = nn.Conv2d(inputs, outputs, 1 + side - wanted, bias=False)
    else:
        sizes = [f"{tap.shape[1]} x {tap.shape[2]} x {tap.shape[3]}" for tap in (student, teacher)]
        raise UserError(
            f"{what}: the student's map, {sizes[0]}, cannot be led to the teacher's, {sizes[1]}:"
            " its side must be no smaller, or go into the teacher's an even number of times; choose"
            " another depth or pair"
        )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def regressor(student: Tensor, teacher: Tensor, what: str) -> nn.Sequential:
    """A ``connector`` with ReLU behind it."""
    return nn.Sequential(*connector(student, teacher, what), nn.ReLU())


def factor_layers(
    channels: list[int], *, transposed: bool = False, norm: bool = False
) -> nn.Sequential:
    """Factor transfer's 3x3 convolutions from each of ``channels`` to the next, with LeakyReLU(0.1)
    and maybe batch norm; the map's size stays."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers.append(kind(inputs, outputs, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers.append(nn.LeakyReLU(0.1))
    return nn.Sequential(*layers)


def of_one_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps, (B, C, H, W), the larger one average-pooled to the smaller one's size."""
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    own, other = (
        tap if tap.shape[2:] == size else adaptive_avg_pool2d(tap, size)
        for tap in (student, teacher)
    )
    return own, other


def energy(maps: Tensor) -> Tensor:
    """The mean square over channels, (B, H, W), of (B, C, H, W)."""
    # channels lie innermost in memory: named last, the backward pass takes a third of the time
    return maps.permute(0, 2, 3, 1).square().mean(3)


def attention(maps: Tensor) -> Tensor:
    """Q(F), (B, H·W): the energy of (B, C, H, W), as vectors of length 1."""
    return normalize(energy(maps).flatten(1))


def unit(vectors: Tensor) -> Tensor:
    """Vectors, the last dimension, as ones of length 1; those shorter than 1e-12 become 0 and have
    no gradient, which would be as large as they are short."""
    length = vectors.norm(dim=-1, keepdim=True)
    directions: Tensor = vectors / length.masked_fill(length < 1e-12, math.inf)
    return directions
