"""ImageNet's residual networks (He et al. 2016) with the CIFAR stem, and resnet10 (paper B).

Torchvision's blocks on a 3x3 stem without pooling, as in the CRD benchmark's ``resnetv2``. Stages
of basic blocks have w, 2w, 4w and 8w channels, those of bottlenecks four times as many; ``width``
is the stem's width w, 64 in the papers. resnet10 has one block a stage: our reading of paper B.
The same networks with ImageNet's stem are in ``resnet_imagenet.py``.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision.models import resnet

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, kaiming_convolutions

NETWORKS = {
    "resnet10": (1, 1, 1, 1),
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
"""Network name → blocks of each stage."""

WIDTHS = {
    "resnet10": (1, 1, 2, 4, 8),
    "resnet18": (1, 1, 2, 4, 8),
    "resnet34": (1, 1, 2, 4, 8),
    "resnet50": (1, 4, 8, 16, 32),
    "resnet101": (1, 4, 8, 16, 32),
    "resnet152": (1, 4, 8, 16, 32),
}
"""Channels of the stem and of each stage, in multiples of ``width``."""

SOURCE = "He et al. 2016; RepDistiller `models/resnetv2.py`"


def build(name: str, classes: int, channels: int, *, width: int = 64) -> "LargeResNet":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    widths = [factor * width for factor in WIDTHS[name]]
    return LargeResNet(NETWORKS[name], widths, classes, channels)


class Basic(resnet.BasicBlock):  # type: ignore[misc]  # torchvision is untyped
    """Two 3x3 convolutions and a shortcut; returns the sum *before* its ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, planes, H/stride, W/stride)."""
        out: Tensor = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return out + shortcut(self.downsample, x)


class Bottleneck(resnet.Bottleneck):  # type: ignore[misc]
    """1x1, 3x3 and 1x1 convolutions and a shortcut; returns the sum *before* its ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, 4 planes, H/stride, W/stride)."""
        out: Tensor = relu(self.bn1(self.conv1(x)))
        out = relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return out + shortcut(self.downsample, x)


def shortcut(downsample: nn.Module | None, x: Tensor) -> Tensor:
    """What a block adds to the output of its convolutions."""
    if downsample is None:
        return x
    out: Tensor = downsample(x)
    return out


BLOCKS: dict[int, type[Basic] | type[Bottleneck]] = {1: Basic, 4: Bottleneck}
"""Channels of the first stage, in multiples of the stem's → its kind of block."""


class LargeResNet(Network):
    """Stem, four stages, pooled vector, classifier."""

    stages = ("stage1", "stage2", "stage3", "stage4")

    def __init__(
        self, blocks: tuple[int, ...], widths: list[int], classes: int, channels: int
    ) -> None:
        """``blocks`` of each stage; ``widths``: channels of the stem and of each stage."""
        super().__init__()
        self.stem = self.make_stem(channels, widths[0])
        kind = BLOCKS[widths[1] // widths[0]]
        strides = (1, 2, 2, 2)
        for name, count, (inputs, outputs), stride in zip(
            self.stages, blocks, pairwise(widths), strides, strict=True
        ):
            planes = outputs // kind.expansion
            same = stride == 1 and inputs == outputs
            first = kind(
                inputs, planes, stride, None if same else conv_bn(inputs, outputs, 1, stride)
            )
            rest = [kind(outputs, planes) for _ in range(count - 1)]
            self.add_module(name, nn.ModuleList([first, *rest]))
        self.classifier = nn.Linear(widths[-1], classes)

    def make_stem(self, channels: int, width: int) -> nn.Sequential:
        """The layers before the first ReLU."""
        return conv_bn(channels, width, 3)

    def initialise(self) -> None:
        """Kaiming-normal convolutions (fan out), as in torchvision's and the benchmark's code."""
        super().initialise()
        kaiming_convolutions(self)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's shape."""
        kind = BLOCKS[1 if isinstance(last[0], Basic) else 4]
        return nn.ModuleList(kind(channels, channels // kind.expansion) for _ in last)
