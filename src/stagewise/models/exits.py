"""Exits on the stages of a backbone (paper B; head layouts from the closest public code line).

``sepatt`` (default): an attention gate on the tap, then separable convolutions that halve the map
and double the channels up to the last stage's, pooling, a linear layer. ``linear``: pooling and a
linear layer, for ablation. The paper does not print its heads; both are reconstructions.
"""

from collections.abc import Callable, Collection
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stagewise.models.features import Features, Network, Paths


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

    wanted: Collection[int] | None = None
    """Numbers of the exits that run (see ``run_to``)."""

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

    def paths(self) -> Paths:
        """Stem, stages and head of each early exit; of the last one, the backbone."""
        names = [*self.backbone.parts()]
        ends = (names.index(stage) + 1 for stage in self.stages[: len(self.exits)])
        early = ((*names[:end], f"exits.{number}") for number, end in enumerate(ends, 1))
        return (*early, tuple(names))

    def run_to(self, depth: int | None, exits: Collection[int] | None = None) -> None:
        """From now on, run no more than so many stages, and their exits, or those of these numbers;
        None is everything."""
        self.backbone.run_to(depth)
        self.wanted = exits

    def tap_blocks(self) -> None:
        """From now on, tap every block of the backbone's stages as well."""
        self.backbone.tap_blocks()

    def forward(self, images: Tensor) -> Features:
        """Features of the backbone with ``exits`` filled in; where not all stages run, those of the
        deepest exit that does, with its map's channels as ``pooled``."""
        if self.backbone.depth is not None:
            x, taps = self.backbone.walk(images)
            numbers, answers, vectors = self._early(self.backbone.exit_maps(taps))
            return Features(answers[-1], taps, x.mean((2, 3)), answers, vectors, numbers)
        features: Features = self.backbone(images)
        maps = self.backbone.exit_maps(features.taps)
        numbers, answers, vectors = self._early(maps[:-1])
        return features._replace(
            exits=(*answers, features.logits),
            exit_vectors=(*vectors, maps[-1].mean((2, 3))),
            exit_numbers=(*numbers, len(maps)),
        )

    def _early(
        self, maps: list[Tensor]
    ) -> tuple[tuple[int, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Of the exits that run, on the maps of their stages: numbers, logits, and the vectors that
        their linear layers get."""
        wanted = range(1, len(maps) + 1) if self.wanted is None else self.wanted
        numbers = tuple(number for number in range(1, len(maps) + 1) if number in wanted)
        answers, vectors = [], []
        for number in numbers:
            *layers, classifier = self.exits[number - 1].children()
            x = maps[number - 1]
            for layer in layers:
                x = layer(x)
            vectors.append(x)
            answers.append(classifier(x))
        return numbers, tuple(answers), tuple(vectors)
