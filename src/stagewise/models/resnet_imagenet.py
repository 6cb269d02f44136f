"""ImageNet's residual networks with their native stem: 7x7, stride 2, then max-pooling.

Torchvision's networks, layer by layer: its ImageNet weights fit (see ``runs/imagenet.py``). The tap
``stem`` is taken before the max-pooling.
"""

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from stagewise.models import resnet_large
from stagewise.models.layers import conv_bn
from stagewise.models.resnet_large import LargeResNet

NETWORKS = {
    "resnet10-imagenet": "resnet10",
    "resnet18-imagenet": "resnet18",
    "resnet34-imagenet": "resnet34",
    "resnet50-imagenet": "resnet50",
    "resnet101-imagenet": "resnet101",
    "resnet152-imagenet": "resnet152",
}
"""Network name → its twin with the CIFAR stem."""

WIDTHS = {
    "resnet10-imagenet": (1, 1, 2, 4, 8),
    "resnet18-imagenet": (1, 1, 2, 4, 8),
    "resnet34-imagenet": (1, 1, 2, 4, 8),
    "resnet50-imagenet": (1, 4, 8, 16, 32),
    "resnet101-imagenet": (1, 4, 8, 16, 32),
    "resnet152-imagenet": (1, 4, 8, 16, 32),
}
"""Channels of the stem and of each stage, in multiples of ``width``."""

IMAGENET = {
    "resnet18-imagenet": (
        "ResNet18_Weights.IMAGENET1K_V1",
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "resnet34-imagenet": (
        "ResNet34_Weights.IMAGENET1K_V1",
        "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    ),
    "resnet50-imagenet": (
        "ResNet50_Weights.IMAGENET1K_V1",
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    "resnet101-imagenet": (
        "ResNet101_Weights.IMAGENET1K_V1",
        "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
    ),
    "resnet152-imagenet": (
        "ResNet152_Weights.IMAGENET1K_V1",
        "resnet152-394f9c45.pth",
        "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
    ),
}
"""Torchvision's ImageNet weights: its name of them, their file, and its SHA-256 or the first eight
digits of it, which torchvision puts into the file's name."""

SOURCE = "He et al. 2016; torchvision `models/resnet.py`"


def build(name: str, classes: int, channels: int, *, width: int = 64) -> "NativeResNet":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    widths = [factor * width for factor in WIDTHS[name]]
    return NativeResNet(resnet_large.NETWORKS[NETWORKS[name]], widths, classes, channels)


class NativeResNet(LargeResNet):
    """The network for large images."""

    def make_stem(self, channels: int, width: int) -> nn.Sequential:
        """The layers before the first ReLU."""
        return conv_bn(channels, width, 7, 2)

    def after(self, stage: str, x: Tensor) -> Tensor:
        """Max-pooling behind the stem."""
        return max_pool2d(x, 3, 2, 1) if stage == "stem" else x

    def torchvision_names(self) -> dict[str, str]:
        """Our part → torchvision's."""
        stages = {stage: stage.replace("stage", "layer") for stage in self.stages}
        return {"stem.0": "conv1", "stem.1": "bn1", **stages, "classifier": "fc"}
