"""Exits on the stages of a backbone (paper B; head layouts from the closest public code line).

``sepatt`` (default): an attention gate on the tap, then separable convolutions that halve the map
and double the channels up to the last stage's, pooling, a linear layer. ``linear``: pooling and a
linear layer, for ablation. The paper does not print its heads; both are reconstructions.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stagewise.models.features import Features, Network


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Two depthwise-separable 3x3 convolutions, batch norm and ReLU; the first has the stride."""

    def half(channels: int, stride: int) -> list[nn.Module]:
        depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        pointwise = nn.Conv2d(inputs, channels, 1, bias=False)
        return [depthwise, pointwise, nn.BatchNorm2d(channels), nn.ReLU()]

    return nn.Sequential(*half(inputs, stride), *half(outputs, 1))


class Gate(nn.Module):
    """Attention: a strided separable convolution, upsampled, squashed, times the tap."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = separable(channels, channels, 2)

    def forward(self, tap: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        attention = interpolate(
            self.attention(tap), size=tap.shape[2:], mode="bilinear", align_corners=False
        )
        return torch.sigmoid(attention) * tap


class Pool(nn.Module):
    """(B, C, H, W) → (B, C), the mean over space."""

    def forward(self, x: Tensor) -> Tensor:
        """Mean over height and width."""
        return x.mean((2, 3))


def sepatt(shapes: list[torch.Size], classes: int) -> nn.Sequential:
    """Head from the tap of shape ``shapes[0]`` to the depth of ``shapes[-1]``."""
    layers: list[nn.Module] = [Gate(shapes[0][1])]
    for here, following in pairwise(shapes):
        layers.append(separable(here[1], following[1], round(here[2] / following[2])))
    return nn.Sequential(*layers, Pool(), nn.Linear(shapes[-1][1], classes))


def linear(shapes: list[torch.Size], classes: int) -> nn.Sequential:
    """Mean over space and a linear layer."""
    return nn.Sequential(Pool(), nn.Linear(shapes[0][1], classes))


HEADS: dict[str, Callable[[list[torch.Size], int], nn.Sequential]] = {
    "sepatt": sepatt,
    "linear": linear,
}


class MultiExit(Network):
    """A backbone with an exit after every stage; the last exit is the backbone's own classifier."""

    def __init__(self, backbone: Network, head: str, example: Tensor) -> None:
        """``example``: (2, channels, H, W), a dry run on which tells the shapes of the taps."""
        super().__init__()
        self.backbone = backbone
        self.stages = backbone.stages
        backbone.eval()
        with torch.no_grad():
            maps = backbone.exit_maps(backbone(example).taps)
        shapes = [tap.shape for tap in maps]
        classes = backbone.classifier.out_features
        build = HEADS[head]
        self.exits = nn.ModuleList(build(shapes[k:], classes) for k in range(len(shapes) - 1))

    def parts(self) -> dict[str, nn.Module]:
        """The backbone's parts, and ``exits.1`` …; the last exit is the ``classifier``."""
        early = {f"exits.{number + 1}": head for number, head in enumerate(self.exits)}
        return {**self.backbone.parts(), **early}

    def classifiers(self) -> list[nn.Linear]:
        """The last layer of each exit, then the backbone's classifier."""
        early = [layer for head in self.exits for layer in head.modules()]
        return [
            *(layer for layer in early if isinstance(layer, nn.Linear)),
            *self.backbone.classifiers(),
        ]

    def run_to(self, depth: int | None) -> None:
        """From now on, run no more than so many stages, and their exits; None is everything."""
        self.backbone.run_to(depth)

    def tap_blocks(self) -> None:
        """From now on, tap every block of the backbone's stages as well."""
        self.backbone.tap_blocks()

    def forward(self, images: Tensor) -> Features:
        """Features of the backbone with ``exits`` filled in; where not all stages run, those of the
        deepest exit that does, with its map's channels as ``pooled``."""
        if self.backbone.depth is not None:
            x, taps = self.backbone.walk(images)
            maps = self.backbone.exit_maps(taps)
            heads = list(self.exits)[: len(maps)]
            exits = tuple(head(tap) for head, tap in zip(heads, maps, strict=True))
            return Features(exits[-1], taps, x.mean((2, 3)), exits)
        features: Features = self.backbone(images)
        maps = self.backbone.exit_maps(features.taps)
        early = [head(tap) for head, tap in zip(self.exits, maps[:-1], strict=True)]
        return features._replace(exits=(*early, features.logits))
