"""VGG with batch norm for small images (Simonyan & Zisserman 2015), as in the CRD benchmark.

Five blocks of w, 2w, 4w, 8w and 8w channels (w = ``width``, 64 in the papers); max-pooling after
the first three, on images of 64 pixels and more after the fourth as well, global average pooling at
the end, one linear classifier. The first block is the stem.
"""

import math

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from stagewise.models.features import Features, Network
from stagewise.models.layers import small_classifier

NETWORKS = {
    "vgg8": (1, 1, 1, 1, 1),
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Network name → convolutions of each block."""

WIDTHS = (1, 2, 4, 8, 8)
"""Channels of the stem and of each stage, in multiples of ``width``."""

POOLED = ("stem", "stage1", "stage2")
"""Blocks that are followed by 2x2 max-pooling."""

LARGE_MAP = 8
"""Least side of the fourth block's map, in pixels, that is pooled too: that of 64-pixel images."""

SMALLEST = 8
"""Least image size: the three poolings leave one pixel of it."""

IMAGENET = {
    "vgg11": ("VGG11_BN_Weights.IMAGENET1K_V1", "vgg11_bn-6002323d.pth", "6002323d"),
    "vgg13": ("VGG13_BN_Weights.IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", "abd245e5"),
    "vgg16": (
        "VGG16_BN_Weights.IMAGENET1K_V1",
        "vgg16_bn-6c64b313.pth",
        "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
    ),
    "vgg19": (
        "VGG19_BN_Weights.IMAGENET1K_V1",
        "vgg19_bn-c79401a0.pth",
        "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
    ),
}
"""Torchvision's ImageNet weights: its name of them, their file, and its SHA-256 or the first eight
digits of it, which torchvision puts into the file's name."""

SOURCE = "Simonyan & Zisserman 2015 with batch norm; RepDistiller `models/vgg.py`"


def build(name: str, classes: int, channels: int, *, width: int = 64) -> "VGG":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    return VGG(NETWORKS[name], classes, channels, width)


class VGG(Network):
    """Five blocks, pooled vector, classifier; taps are taken before each block's max-pooling."""

    stages = ("stage1", "stage2", "stage3", "stage4")

    def __init__(
        self, convolutions: tuple[int, ...], classes: int, channels: int, width: int
    ) -> None:
        super().__init__()
        inputs = channels
        names = ("stem", *self.stages)
        for name, count, factor in zip(names, convolutions, WIDTHS, strict=True):
            outputs = factor * width
            self.add_module(name, self._block(inputs, outputs, count))
            inputs = outputs
        self.classifier = nn.Linear(inputs, classes)

    @staticmethod
    def _block(inputs: int, outputs: int, count: int) -> nn.ModuleList:
        layers = nn.ModuleList()
        for _ in range(count):
            conv = nn.Conv2d(inputs, outputs, 3, padding=1)
            layers.append(nn.Sequential(conv, nn.BatchNorm2d(outputs)))
            inputs = outputs
        return layers

    def initialise(self) -> None:
        """N(0, 2/(9 C_out)) convolutions, N(0, 0.01) classifier, zero biases (CRD's code)."""
        super().initialise()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / (9 * module.out_channels)))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        small_classifier(self)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """A block like the last that keeps the map's shape."""
        return self._block(channels, channels, len(last))

    def after(self, stage: str, x: Tensor) -> Tensor:
        """Max-pooling behind the first blocks."""
        large = stage == "stage3" and x.shape[2] >= LARGE_MAP
        return max_pool2d(x, 2) if stage in POOLED or large else x

    def torchvision_names(self) -> dict[str, str]:
        """Our convolution or batch norm → torchvision's, which counts ReLUs and poolings too."""
        names: dict[str, str] = {}
        position = 0
        for part in ("stem", *self.stages):
            layers = self.get_submodule(part)
            assert isinstance(layers, nn.ModuleList)
            for number in range(len(layers)):
                names[f"{part}.{number}.0"] = f"features.{position}"
                names[f"{part}.{number}.1"] = f"features.{position + 1}"
                position += 3
            position += 1
        return names
