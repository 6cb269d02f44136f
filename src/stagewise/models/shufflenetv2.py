"""The CRD benchmark's ShuffleNetV2 ×1 (Ma et al. 2018) for small images: 1x1 stem, no pooling.

Stages of 4, 8 and 4 blocks have 58w, 116w and 232w channels, the stem 12w, the 1x1 convolution
behind them 512w; ``width`` is w, 2 in the benchmark. A block's ``.pre`` is shuffled as its output
is; the benchmark's is not.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, shuffle

NETWORKS = {"shufflenetv2-crd": (4, 8, 4)}
"""Network name → blocks of each stage."""

WIDTHS = (12, 58, 116, 232)
"""Channels of the stem and of each stage, in multiples of ``width``."""

UNPRUNABLE = "its channel shuffles mix the halves of its channels"
"""Why channels cannot be removed from these networks."""

SOURCE = "Ma et al. 2018, ×1; RepDistiller `models/ShuffleNetv2.py`"


def build(name: str, classes: int, channels: int, *, width: int = 2) -> "ShuffleNetV2":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    widths = [factor * width for factor in WIDTHS]
    return ShuffleNetV2(NETWORKS[name], widths, 512 * width, classes, channels)


def branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """1x1, depthwise 3x3 and 1x1 convolutions, before the last ReLU."""
    depthwise = conv_bn(outputs, outputs, 3, stride, groups=outputs)
    return nn.Sequential(
        conv_bn(inputs, outputs, 1), nn.ReLU(), depthwise, conv_bn(outputs, outputs, 1)
    )


class Halving(nn.Module):
    """Two branches of stride 2, side by side and shuffled; returns them *before* their ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        depthwise = conv_bn(inputs, inputs, 3, 2, groups=inputs)
        self.left = nn.Sequential(depthwise, conv_bn(inputs, outputs // 2, 1))
        self.right = branch(inputs, outputs // 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H/2, W/2)."""
        return shuffle(torch.cat([self.left(x), self.right(x)], 1), 2)


class Block(nn.Module):
    """Half of the channels pass, half go through a branch; shuffled, *before* the ReLU.

    The half that passes comes out of a ReLU, so the one that follows leaves it as it is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = branch(channels // 2, channels // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) → the same shape."""
        passing, going = x.chunk(2, 1)
        return shuffle(torch.cat([passing, self.right(going)], 1), 2)


class ShuffleNetV2(Network):
    """Stem, three stages, a 1x1 convolution, pooled vector, classifier; torch's own start."""

    stages = ("stage1", "stage2", "stage3")

    def __init__(
        self, blocks: tuple[int, ...], widths: list[int], last: int, classes: int, channels: int
    ) -> None:
        """``blocks`` of each stage; ``widths``: channels of the stem and of each stage."""
        super().__init__()
        self.stem = conv_bn(channels, widths[0], 1)
        for name, count, (inputs, outputs) in zip(
            self.stages, blocks, pairwise(widths), strict=True
        ):
            rest = [Block(outputs) for _ in range(count - 1)]
            self.add_module(name, nn.ModuleList([Halving(inputs, outputs), *rest]))
        self.neck = conv_bn(widths[-1], last, 1)
        self.classifier = nn.Linear(last, classes)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def pool(self, x: Tensor) -> Tensor:
        """The pooled vector (B, C) behind the 1x1 convolution."""
        return relu(self.neck(x)).mean((2, 3))

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's shape."""
        return nn.ModuleList(Block(channels) for _ in last)
