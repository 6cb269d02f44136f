"""A bottleneck of a quarter of the last stage's channels: BYOT's head.

"Be Your Own Teacher" (Zhang et al. 2019, ICCV, arXiv 1905.08094) as the re-implementation
`luanyunteng/pytorch-be-your-own-teacher` has it (`models/resnet.py`); the paper draws a bottleneck
and does not print its sizes. Convolutions before batch norm have no bias here, which it would
absorb.
"""

from torch import nn

from stagewise.models.heads.base import Site, squeezed


def build(site: Site) -> nn.Sequential:
    """Bottleneck, pooling, a linear layer."""
    return nn.Sequential(*squeezed(site, max(1, site.last_channels // 4)))
