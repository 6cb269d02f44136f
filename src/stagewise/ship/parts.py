"""What is exported of a network: one module from images to logits, and, where it has several exits,
a chain of modules, each from what the one before left to the logits of its exit."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from stagewise.models.exits import MultiExit
from stagewise.models.features import Network


class Scale(nn.Module):
    """Pixels from 0 to 255 → what a network takes; to be the first node of a graph."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, C, S, S) uint8 → the same in float32, normalised."""
        return (pixels.float() / 255 - self.mean) / self.std


class Frame(nn.Module):
    """Pixels of a camera's frames → what a network takes: the centre, scaled as Pillow does it (to
    a level of 256), normalised. Both passes of the scaling are matrices, so that every runtime
    gives the same."""

    rows: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, size: int, scale: Scale) -> None:
        super().__init__()
        side = min(height, width)
        self.scale = scale
        self.register_buffer("rows", _resampling(height, side, size))
        self.register_buffer("columns", _resampling(width, side, size))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, C, H, W) uint8 → (B, C, S, S)."""
        across = (frames.float() @ self.columns.T).round()
        scaled: Tensor = self.scale((self.rows @ across).round().clamp(0, 255))
        return scaled


def _resampling(length: int, side: int, size: int) -> Tensor:
    """(size, length): Pillow's bilinear resampling of the middle ``side`` of a line of pixels."""
    begin = (length - side) / 2
    ones = Image.fromarray(np.eye(length, dtype=np.float32))
    box = (begin, 0, begin + side, length)
    made = ones.resize((size, length), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(made).T.copy())


class Whole(nn.Module):
    """All of a network; of several exits, the mean of their logits."""

    def __init__(self, network: Network, scale: nn.Module) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, S, S) → logits (B, classes)."""
        return (self.network(self.scale(images)).answer,)


class FirstPart(nn.Module):
    """From images to the first exit."""

    def __init__(self, network: MultiExit, scale: nn.Module) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, S, S) → logits (B, classes), and what the stage left."""
        backbone, place = self.network.backbone, self.network.heads_at[0]
        backbone.run_to(place)
        _, taps = backbone.walk(self.scale(images))
        backbone.run_to(None)
        return _at_exit(self.network, place, taps)


class NextPart(nn.Module):
    """From one exit to the next."""

    def __init__(self, network: MultiExit, before: int, place: int) -> None:
        """``before`` and ``place``: the stages of both exits."""
        super().__init__()
        self.network, self.before, self.place = network, before, place

    def forward(self, *left: Tensor) -> tuple[Tensor, ...]:
        """What the part before left behind its logits → the same of this exit."""
        backbone = self.network.backbone
        stage, names = backbone.stages[self.before - 1], backbone.stages[self.before : self.place]
        taps = dict(zip(backbone.left_behind(stage), left, strict=True))
        x, taps = backbone.go_on(stage, names, taps)
        if self.place == len(backbone.stages):
            return (backbone.classifier(backbone.pool(x)),)
        return _at_exit(self.network, self.place, taps)


def _at_exit(network: MultiExit, place: int, taps: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Logits of an early exit, and what its stage left for what follows."""
    backbone = network.backbone
    stage = backbone.stages[place - 1]
    logits = network.head(place)(backbone.exit_map(stage, taps))
    return (logits, *(taps[name] for name in backbone.left_behind(stage)))


def chain(network: MultiExit, scale: nn.Module) -> list[nn.Module]:
    """A part for each exit, shallow to deep, the last one's included."""
    rest = [NextPart(network, before, place) for before, place in pairwise(network.places)]
    return [FirstPart(network, scale), *rest]
