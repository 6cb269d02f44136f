"""CIFAR residual networks of depth 6n+2 (He et al. 2016, section 4.2), stem without pooling.

``width`` is the stem's width w; the three stages have w, 2w and 4w channels (the CRD benchmark's
x4 networks: 2w, 4w and 8w, see ``resnet_x4.py``). The shortcut that changes shape is a 1x1
convolution with batch norm, as in the benchmark's networks.
"""

from torch import Tensor, nn
from torch.nn.functional import relu

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, kaiming_convolutions

NETWORKS = {
    "resnet8": 1,
    "resnet14": 2,
    "resnet20": 3,
    "resnet32": 5,
    "resnet44": 7,
    "resnet56": 9,
    "resnet110": 18,
}
"""Network name → blocks a stage."""

WIDTHS = (1, 1, 2, 4)
"""Channels of the stem and of each stage, in multiples of ``width``."""

SOURCE = "He et al. 2016, §4.2; RepDistiller `models/resnet.py`"


def build(name: str, classes: int, channels: int, *, width: int = 16) -> "ResNet":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    return ResNet(NETWORKS[name], [factor * width for factor in WIDTHS], classes, channels)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; returns the sum *before* its ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, stride)
        self.second = conv_bn(outputs, outputs, 3)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H/stride, W/stride)."""
        out: Tensor = self.second(relu(self.first(x))) + self.shortcut(x)
        return out


class ResNet(Network):
    """Stem, three stages, pooled vector, classifier."""

    stages = ("stage1", "stage2", "stage3")

    def __init__(self, blocks: int, widths: list[int], classes: int, channels: int) -> None:
        """``blocks`` a stage; ``widths``: channels of the stem and of each stage."""
        super().__init__()
        self.stem = conv_bn(channels, widths[0], 3)
        inputs = widths[0]
        for name, outputs, stride in zip(self.stages, widths[1:], (1, 2, 2), strict=True):
            first = Block(inputs, outputs, stride)
            rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(name, nn.ModuleList([first, *rest]))
            inputs = outputs
        self.classifier = nn.Linear(inputs, classes)

    def initialise(self) -> None:
        """Kaiming-normal convolutions (fan out), as in the CRD benchmark's code."""
        super().initialise()
        kaiming_convolutions(self)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's shape."""
        return nn.ModuleList(Block(channels, channels, 1) for _ in last)
