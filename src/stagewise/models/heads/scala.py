"""An attention gate, then a bottleneck of 128 channels: SCAN's head.

"SCAN: A Scalable Neural Networks Framework Towards Compact and Efficient Models" (Zhang et al.
2019, NeurIPS, arXiv 1906.03951; `pytorch-scalable-neural-networks/sresnet.py`). The gate shrinks
the map by a strided convolution and grows it again by a transposed one; between 1x1 convolutions,
one of k x k pixels and stride k brings the map to the last stage's size (k = 8, 4, 2 in residual
networks). Convolutions before batch norm have no bias here, which it would absorb.
"""

from torch import Tensor, nn

from stagewise.models.heads.base import Site, squeezed

MIDDLE = 128
"""Channels of the bottleneck, in networks of any width."""


class Gate(nn.Module):
    """Attention: a convolution of stride 2 and its transpose, squashed, times the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        height, width = x.shape[2:]
        attention: Tensor = self.attention(x)[:, :, :height, :width]  # one more where H is odd
        return attention * x


def build(site: Site) -> nn.Sequential:
    """Gate, bottleneck, pooling, a linear layer."""
    return nn.Sequential(Gate(site.channels), *squeezed(site, MIDDLE))
