"""``sepatt`` with convolutions only where the map still shrinks: its cheaper reading for VGG.

Behind the last but one stage of VGG, whose map has the final size already, there is a gate and a
linear layer and nothing between them. See ``sepatt``; other networks have the same heads by both
names.
"""

from dataclasses import replace

import torch
from torch import nn

from stagewise.models.heads import sepatt
from stagewise.models.heads.base import Site


def build(site: Site) -> nn.Sequential:
    """Gate, strided separable convolutions, pooling, a linear layer."""
    return sepatt.build(replace(site, maps=shrinking(site)))


def shrinking(site: Site) -> list[torch.Size]:
    """The stage's map and those that follow and are smaller than the one before."""
    found = site.maps[:1]
    for shape in site.maps[1:]:
        if shape[2] < found[-1][2]:
            found.append(shape)
    return found
