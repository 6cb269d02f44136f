"""A fresh copy of all stages that follow, and a classifier: HSAKD's heads.

Yang et al. 2021 (IJCAI, arXiv 2107.13715; `winycg/HSAKD`, `models/resnetv2.py`, `vgg.py`,
`wrn.py`), whose heads know class and rotation; here they know the class. By far the dearest head:
each exit is as deep as the network. It starts as its network does.
"""

import torch
from torch import Tensor, nn

from stagewise.models.heads.base import Site


class Copy(nn.Module):
    """A branch of the network that starts at a map of it."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.stage = site.stage
        self.branch = site.backbone.branch(site.stage, torch.empty(site.maps[0]), site.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, classes)."""
        # wrn's next stage begins with a projection of the activated map: it needs no raw sum
        return self.branch.resume(self.stage, {self.stage: x, f"{self.stage}.pre": x})


def build(site: Site) -> Copy:
    """The stages that follow, pooling, a classifier."""
    return Copy(site)
