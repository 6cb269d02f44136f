"""``sepatt`` without convolutions that keep the map's shape: its cheaper reading for VGG.

Behind the last but one stage of VGG, whose map has the final shape already, there is a gate and a
linear layer and nothing between them. See ``sepatt``; on other networks the two are the same.
"""

from dataclasses import replace

import torch
from torch import nn

from stagewise.models.heads import sepatt
from stagewise.models.heads.base import Site


def build(site: Site) -> nn.Sequential:
    """Gate, separable convolutions, pooling, a linear layer."""
    return sepatt.build(replace(site, maps=changing(site.maps)))


def changing(maps: list[torch.Size]) -> list[torch.Size]:
    """The shapes without those that repeat the one before."""
    found = maps[:1]
    for shape in maps[1:]:
        if shape != found[-1]:
            found.append(shape)
    return found
