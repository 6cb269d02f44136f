"""Separable convolutions down to the last stage's map, one for each stage that follows.

The heads of L. Zhang's line of code without their gate (Task-Oriented Feature Distillation 2020,
`models/resnet.py`): each halves the map where the stage does, and has its channels. Where a stage
keeps its map's size, as VGG's last, the convolution does too: it has stride 1.
"""

from itertools import pairwise

from torch import nn

from stagewise.models.heads.base import Pool, Site, separable


def build(site: Site) -> nn.Sequential:
    """Separable convolutions, pooling, a linear layer."""
    return nn.Sequential(*separables(site))


def separables(site: Site) -> list[nn.Module]:
    """The layers."""
    steps = [
        separable(here[1], following[1], round(here[2] / following[2]))
        for here, following in pairwise(site.maps)
    ]
    return [*steps, Pool(), nn.Linear(site.last_channels, site.classes)]
