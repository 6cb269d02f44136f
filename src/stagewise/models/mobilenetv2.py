"""The CRD benchmark's MobileNetV2 for small images: half the width, stride 2 at the stem.

Not the networks that others call MobileNetV2: HSAKD's needs four times as many multiply-adds.
``width`` scales all channels; 4, the benchmark's, gives its multiplier 1/2. A stage joins groups of
blocks of the paper (Sandler et al. 2018) as the benchmark does. Blocks end linearly, so stages'
taps are not activated, and ``.pre`` is the tap itself. Behind the stages, a 1x1 convolution leads
to 1,280 channels, to more in networks wider than the paper's.
"""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn.functional import relu

from stagewise.models.features import Features, Network
from stagewise.models.layers import conv_bn, kaiming_convolutions, small_classifier

NETWORKS = {
    "mobilenetv2-crd": (
        ((1, 2, 1, 1), (6, 3, 2, 1)),
        ((6, 4, 3, 2),),
        ((6, 8, 4, 2), (6, 12, 3, 1)),
        ((6, 20, 3, 2), (6, 40, 1, 1)),
    )
}
"""Network name → stages → groups: expansion, channels in multiples of ``width``, blocks, stride."""

WIDTHS = (4, 3, 4, 12, 40)
"""Channels of the stem and of each stage, in multiples of ``width``."""

WIDEST = 1280
"""Channels of the widest layer where ``width`` is small."""

SOURCE = "Sandler et al. 2018, ×½; RepDistiller `models/mobilenetv2.py`"


def build(name: str, classes: int, channels: int, *, width: int = 4) -> "MobileNetV2":
    """The network ``name`` for ``channels``-channel images of ``classes`` classes."""
    return MobileNetV2(NETWORKS[name], classes, channels, width)


class Block(nn.Module):
    """1x1 expansion, depthwise 3x3, 1x1 projection; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.expansion = outputs, expansion
        inner = inputs * expansion
        self.expand = conv_bn(inputs, inner, 1)
        self.depthwise = conv_bn(inner, inner, 3, stride, groups=inner)
        self.project = conv_bn(inner, outputs, 1)
        self.same = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H/stride, W/stride), not activated."""
        out: Tensor = self.project(relu(self.depthwise(relu(self.expand(x)))))
        return x + out if self.same else out


class MobileNetV2(Network):
    """Stem, four stages, a 1x1 convolution, pooled vector, classifier."""

    stages = ("stage1", "stage2", "stage3", "stage4")

    def __init__(
        self,
        stages: tuple[tuple[tuple[int, int, int, int], ...], ...],
        classes: int,
        channels: int,
        width: int,
    ) -> None:
        super().__init__()
        inputs = WIDTHS[0] * width
        self.stem = conv_bn(channels, inputs, 3, 2)
        for name, groups in zip(self.stages, stages, strict=True):
            blocks = nn.ModuleList()
            for expansion, factor, count, stride in groups:
                for number in range(count):
                    step = 1 if number else stride
                    blocks.append(Block(inputs, factor * width, expansion, step))
                    inputs = factor * width
            self.add_module(name, blocks)
        last = max(WIDEST, 160 * width)
        self.neck = conv_bn(inputs, last, 1)
        self.classifier = nn.Linear(last, classes)

    def initialise(self) -> None:
        """N(0, 2/(k² C_out)) convolutions, N(0, 0.01) classifier, zero biases (CRD's code)."""
        super().initialise()
        kaiming_convolutions(self)
        small_classifier(self)

    def forward(self, images: Tensor) -> Features:
        """(B, channels, H, W) normalised images → features."""
        x, taps = self.walk(images)
        pooled = self.pool(x)
        return Features(self.classifier(pooled), taps, pooled)

    def walk(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, channels, H, W) images → the last stage's output, and all taps."""
        pre = self.stem(images)
        x = relu(pre)
        out, taps = self.through(self.running, x)
        return out, {"stem": x, "stem.pre": pre, **taps}

    def through(self, names: Iterable[str], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The output of the last of the named stages, which ``x`` goes through, and all taps."""
        taps: dict[str, Tensor] = {}
        for name in names:
            blocks = self.get_submodule(name)
            assert isinstance(blocks, nn.ModuleList)
            for number, block in enumerate(blocks):
                x = block(x)
                if self.block_taps:
                    taps[f"{name}.{number}"] = x
            taps |= {name: x, f"{name}.pre": x}
        return x, taps

    def pool(self, x: Tensor) -> Tensor:
        """The pooled vector (B, C) behind the 1x1 convolution."""
        return relu(self.neck(x)).mean((2, 3))

    def further_stage(self, last: nn.ModuleList, channels: int) -> nn.ModuleList:
        """Blocks like the last stage's that keep its map's size, and in the end its channels."""
        shapes = [(block.outputs, block.expansion) for block in last if isinstance(block, Block)]
        shapes[-1] = (channels, shapes[-1][1])
        blocks = nn.ModuleList()
        inputs = channels
        for outputs, expansion in shapes:
            blocks.append(Block(inputs, outputs, expansion, 1))
            inputs = outputs
        return blocks
