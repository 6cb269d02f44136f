"""Wide residual networks (Zagoruyko & Komodakis 2016) with pre-activation, without dropout.

wrn<d>-<k> has (d − 4)/6 blocks a stage; ``width`` is the stem's width w, 16 in the papers, and the
stages have kw, 2kw and 4kw channels. A block leaves the raw sum; the batch norm and the ReLU that
follow it belong to the next block in the papers. Here the batch norm stands at the end of the block
whose sum it takes, so that a stage holds all that its exit needs; the function is the same.
"""

from collections.abc import Iterable
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, kaiming_convolutions

NETWORKS = {"wrn16-1": 2, "wrn16-2": 2, "wrn22-2": 3, "wrn40-1": 6, "wrn40-2": 6}
"""Network name → blocks a stage."""

WIDTHS = {
    "wrn16-1": (1, 1, 2, 4),
    "wrn16-2": (1, 2, 4, 8),
    "wrn22-2": (1, 2, 4, 8),
    "wrn40-1": (1, 1, 2, 4),
    "wrn40-2": (1, 2, 4, 8),
}
"""Channels of the stem and of each stage, in multiples of ``width``."""

SOURCE = "Zagoruyko & Komodakis 2016; RepDistiller `models/wrn.py`"


def build(name: str, classes: int, channels: int, *, width: int = 16) -> "WideResNet":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    widths = [factor * width for factor in WIDTHS[name]]
    return WideResNet(NETWORKS[name], widths, classes, channels)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; returns the raw sum, and that behind batch norm."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_bn(inputs, outputs, 3, stride)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        same = inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, raw: Tensor, pre: Tensor) -> tuple[Tensor, Tensor]:
        """(B, inputs, H, W), twice → (B, outputs, H/stride, W/stride), twice."""
        x = relu(pre)
        shortcut = raw if self.shortcut is None else self.shortcut(x)
        raw = self.second(relu(self.first(x))) + shortcut
        return raw, self.norm(raw)


class WideResNet(Network):
    """Stem, three stages, pooled vector, classifier; taps are raw sums, ``.pre`` behind norm."""

    stages = ("stage1", "stage2", "stage3")

    def __init__(self, blocks: int, widths: list[int], classes: int, channels: int) -> None:
        """``blocks`` a stage; ``widths``: channels of the stem and of each stage."""
        super().__init__()
        self.stem = conv_bn(channels, widths[0], 3)
        strides = (1, 2, 2)
        for name, (inputs, outputs), stride in zip(
            self.stages, pairwise(widths), strides, strict=True
        ):
            first = Block(inputs, outputs, stride)
            rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
            self.add_module(name, nn.ModuleList([first, *rest]))
        self.classifier = nn.Linear(widths[-1], classes)

    def initialise(self) -> None:
        """N(0, 2/(k² C_out)) convolutions, a classifier without bias at first (CRD's code)."""
        super().initialise()
        kaiming_convolutions(self)
        self.start_classifier(self.classifier)

    def start_classifier(self, layer: nn.Linear) -> None:
        """Torch's weights, zero bias."""
        nn.init.zeros_(layer.bias)

    def exit_map(self, stage: str, taps: dict[str, Tensor]) -> Tensor:
        """The stage's output behind batch norm and ReLU."""
        return relu(taps[f"{stage}.pre"])

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def walk(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, channels, H, W) images → the last stage's output behind its ReLU, and all taps."""
        conv, norm = self.stem
        raw = conv(images)
        pre = norm(raw)
        x, taps = self.through_stages(self.running, raw, pre)
        return x, {"stem": raw, "stem.pre": pre, **taps}

    def through_stages(
        self, names: Iterable[str], raw: Tensor, pre: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A stage's raw output, and that behind batch norm, through the named stages: the last
        one's output behind its ReLU, and all taps."""
        taps: dict[str, Tensor] = {}
        for name in names:
            blocks = self.get_submodule(name)
            assert isinstance(blocks, nn.ModuleList)
            for number, block in enumerate(blocks):
                raw, pre = block(raw, pre)
                if self.block_taps:
                    taps[f"{name}.{number}"] = relu(pre)
            taps |= {name: raw, f"{name}.pre": pre}
        return relu(pre), taps

    def left_behind(self, stage: str) -> tuple[str, ...]:
        """A stage's raw output, and that behind batch norm."""
        return stage, f"{stage}.pre"

    def go_on(
        self, stage: str, names: Iterable[str], taps: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What ``through_stages`` returns, from the taps that ``stage`` left."""
        return self.through_stages(names, *(taps[name] for name in self.left_behind(stage)))

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's shape."""
        return nn.ModuleList(Block(channels, channels, 1) for _ in last)
