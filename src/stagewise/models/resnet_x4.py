"""The CRD benchmark's wide CIFAR residual networks: a stem of w channels, stages of 2w, 4w, 8w.

``width`` is the stem's width w, 32 in the benchmark. All else is as in ``resnet.py``.
"""

from stagewise.models.resnet import ResNet

NETWORKS = {"resnet8x4": 1, "resnet32x4": 5}
"""Network name → blocks a stage."""

WIDTHS = (1, 2, 4, 8)
"""Channels of the stem and of each stage, in multiples of ``width``."""

SOURCE = "RepDistiller `models/resnet.py`"


def build(name: str, classes: int, channels: int, *, width: int = 32) -> ResNet:
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    return ResNet(NETWORKS[name], [factor * width for factor in WIDTHS], classes, channels)
