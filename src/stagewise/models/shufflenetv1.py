"""The CRD benchmark's ShuffleNetV1 (Zhang et al. 2018) for small images: three groups, 1x1 stem.

Stages of 4, 8 and 4 blocks have 120w, 240w and 480w channels, the stem 12w; ``width`` is w, 2 in
the benchmark. The first block of a stage halves the map and appends its pooled input.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, shuffle

NETWORKS = {"shufflenetv1-crd": (4, 8, 4)}
"""Network name → blocks of each stage."""

WIDTHS = (12, 120, 240, 480)
"""Channels of the stem and of each stage, in multiples of ``width``."""

UNPRUNABLE = "its channel shuffles mix the channels of groups"
"""Why channels cannot be removed from these networks."""

SOURCE = "Zhang et al. 2018, g = 3; RepDistiller `models/ShuffleNetv1.py`"

GROUPS = 3


def build(name: str, classes: int, channels: int, *, width: int = 2) -> "ShuffleNetV1":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    return ShuffleNetV1(NETWORKS[name], [factor * width for factor in WIDTHS], classes, channels)


class Block(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1; returns the sum *before* its ReLU."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        """``groups`` of the first convolution; the last always has ``GROUPS``."""
        super().__init__()
        self.shrinks = inputs != outputs
        own = outputs - inputs if self.shrinks else outputs
        inner = own // 4
        self.groups = groups
        self.first = conv_bn(inputs, inner, 1, groups=groups)
        self.depthwise = conv_bn(inner, inner, 3, 2 if self.shrinks else 1, groups=inner)
        self.last = conv_bn(inner, own, 1, groups=GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H, W), or half of H and W where channels are added."""
        out = shuffle(relu(self.first(x)), self.groups)
        out = self.last(relu(self.depthwise(out)))
        return torch.cat([out, avg_pool2d(x, 3, 2, 1)], 1) if self.shrinks else out + x


class ShuffleNetV1(Network):
    """Stem, three stages, pooled vector, classifier. Starts as torch's layers do (CRD's code)."""

    stages = ("stage1", "stage2", "stage3")

    def __init__(
        self, blocks: tuple[int, ...], widths: list[int], classes: int, channels: int
    ) -> None:
        """``blocks`` of each stage; ``widths``: channels of the stem and of each stage."""
        super().__init__()
        self.stem = conv_bn(channels, widths[0], 1)
        inputs, groups = widths[0], 1  # the few channels of the stem are not grouped
        for name, count, outputs in zip(self.stages, blocks, widths[1:], strict=True):
            first = Block(inputs, outputs, groups)
            rest = [Block(outputs, outputs, GROUPS) for _ in range(count - 1)]
            self.add_module(name, nn.ModuleList([first, *rest]))
            inputs, groups = outputs, GROUPS
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's shape."""
        return nn.ModuleList(Block(channels, channels, GROUPS) for _ in last)
