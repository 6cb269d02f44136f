"""What a head gets, and the layers that several share.

Paper B does not print its heads. Each file here is a layout that public code has, and names it.
"""

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stagewise import catalogue
from stagewise.models.features import Network
from stagewise.models.layers import GroupedConv2d


@dataclass(frozen=True)
class Site:
    """Where a head stands: behind ``stage`` of a ``backbone`` for ``classes`` classes.

    ``maps``: shapes (B, C, H, W) of what the exits of this stage and of all deeper ones get, the
    last being what the backbone's own end gets.
    """

    backbone: Network
    stage: str
    maps: list[torch.Size]
    classes: int

    @property
    def channels(self) -> int:
        """Of the stage's map."""
        return self.maps[0][1]

    @property
    def last_channels(self) -> int:
        """Of the last stage's map."""
        return self.maps[-1][1]

    @property
    def shrinkage(self) -> int:
        """By how much this map is larger than the last, a side."""
        return max(1, round(self.maps[0][2] / self.maps[-1][2]))


def make_head(name: str, site: Site) -> "Head":
    """The head ``name``.

    Raises:
        LookupError: there is no such head.
    """
    module = importlib.import_module(catalogue.module_name(catalogue.heads()[name]))
    head: Head = module.build(site)
    return head


class Head(nn.Module):
    """From a stage's map (B, C, H, W) to logits (B, classes)."""

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The vector (B, C) that its linear layer gets, and the logits."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The logits."""
        return self.answer(x)[1]


class Layers(Head):
    """Layers one behind the other, the last of which is linear."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer gets, and what it makes of it."""
        *layers, classifier = self.children()
        for layer in layers:
            x = layer(x)
        return x, classifier(x)


class Pool(nn.Module):
    """(B, C, H, W) → (B, C), the mean over space."""

    def forward(self, x: Tensor) -> Tensor:
        """Mean over height and width."""
        return x.mean((2, 3))


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two depthwise-separable 3x3 convolutions, batch norm and ReLU; the first has the stride."""

    def half(channels: int, stride: int) -> list[nn.Module]:
        depthwise = GroupedConv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        pointwise = nn.Conv2d(inputs, channels, 1, bias=False)
        return [depthwise, pointwise, nn.BatchNorm2d(channels), nn.ReLU()]

    return nn.Sequential(*half(inputs, stride), *half(outputs, 1))


def patches(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    """A convolution of patches side by side, without bias; batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, kernel, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


def squeezed(site: Site, middle: int) -> list[nn.Module]:
    """``middle`` channels, patches as large as the map must shrink, the last stage's channels;
    pooling and a linear layer."""
    return [
        *patches(site.channels, middle, 1),
        *patches(middle, middle, site.shrinkage),
        *patches(middle, site.last_channels, 1),
        Pool(),
        nn.Linear(site.last_channels, site.classes),
    ]
