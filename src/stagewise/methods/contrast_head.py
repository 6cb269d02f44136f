"""SSKD's teacher: a head that finds an image among others when it is turned (Xu et al. 2020).

arXiv 2006.07114, section 3.2. It embeds the frozen teacher's pooled vectors; each rotated image
must be nearest, by cosine, to the upright one that it was made of, among all upright ones of the
batch. As in the authors' code, where this takes 60 epochs at 0.05, a tenth after 30 and 45: the
cosines are logits without a temperature, and images are not flipped (``training: {flip: false}``).
"""

import torch
from torch import Tensor, nn

from stagewise.declarations import Needs
from stagewise.methods._connectors import unit
from stagewise.methods._rotations import ROTATIONS, rotated
from stagewise.methods.base import DistillationMethod, Losses, Setup, full, label_loss
from stagewise.models.features import Batch, Features

NAME = "contrast head"
NEEDS = Needs(views=4)
PART = "contrast"
RECIPE = {"recipe": "frozen_backbone"}
WEIGHTS = {"ce": 1.0}


def projection(features: Features) -> nn.Sequential:
    """Two linear layers with a ReLU between them, as wide as the pooled vector."""
    width = features.pooled.shape[1]
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


def similarities(embedded: Tensor) -> Tensor:
    """Cosines (3B, B) of rotated with upright images, of embeddings (4B, D), copy by copy."""
    found = unit(full(embedded))
    upright = len(found) // ROTATIONS
    return found[upright:] @ found[:upright].mT


def origins(similarity: Tensor) -> Tensor:
    """(3B,): the column of the image that each row was made of."""
    return torch.arange(similarity.shape[1], device=similarity.device).repeat(ROTATIONS - 1)


class Method(DistillationMethod):
    """L = CE(own upright image, cosines)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.projection = projection(setup.student)

    def views(self, batch: Batch) -> Batch:
        """Four rotations."""
        return rotated(batch)

    def similarities(self, features: Features) -> Tensor:
        """Cosines (3B, B) of the network's rotated with its upright images."""
        return similarities(self.projection(full(features.pooled)))

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, a mean over the rotated images; ``student`` is the frozen teacher."""
        found = self.similarities(student)
        return {"ce": label_loss(found, origins(found))}
