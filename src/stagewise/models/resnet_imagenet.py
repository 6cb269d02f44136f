"""ImageNet's residual networks with their native stem: 7x7, stride 2, then max-pooling.

Torchvision's networks, layer by layer: its ImageNet weights fit (see ``imagenet.py``). The tap
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
