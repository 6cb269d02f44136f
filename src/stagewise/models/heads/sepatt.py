"""An attention gate, then separable convolutions down to the last stage's map (the default).

The heads of the closest public code, self-distillation as its authors have it for their journal
paper (Zhang, Bao, Ma 2021, TPAMI; `pytorch-self-distillation-final/resnet.py`); our reading of
paper B. The gate is a strided separable convolution, upsampled, squashed, times the map.

That code has residual networks only, whose every stage halves the map: K − k convolutions behind
stage k of K. VGG's last stage keeps the size, and there are two readings. Here the number is kept,
and the convolution for that stage has stride 1: vgg8's heads then cost 2.93 M parameters and 42.0 M
multiply-adds. ``sepatt_strided`` has none for such a stage: 1.32 M and 16.4 M. All other networks
are the same in both.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stagewise.models.heads.base import Site, separable
from stagewise.models.heads.sep import separables


class Gate(nn.Module):
    """Attention: a strided separable convolution, upsampled, squashed, times the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = separable(channels, channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        attention = self.attention(x)
        upsampled = interpolate(attention, size=x.shape[2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(upsampled) * x


def build(site: Site) -> nn.Sequential:
    """Gate, separable convolutions, pooling, a linear layer."""
    return nn.Sequential(Gate(site.channels), *separables(site))
