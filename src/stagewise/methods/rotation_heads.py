"""HSAKD's teacher: heads on its stages that learn class and rotation (Yang et al. 2021, IJCAI).

arXiv 2107.13715, section 3. They are trained on the frozen teacher, on each image in four
rotations: the form that the paper calls Teacher, published with 100 epochs at 0.05, a tenth after
30, 60 and 90. (Its Teacher*, trained together with its heads from the start, is another network.)
"""

import torch

from stagewise.declarations import Needs
from stagewise.methods._rotations import RotationHeads, joint_target, rotated
from stagewise.methods.base import DistillationMethod, Losses, Setup, label_loss
from stagewise.models.features import Batch, Features

NAME = "rotation heads"
NEEDS = Needs(views=4)
PART = "rotations"
RECIPE = {"recipe": "frozen_backbone"}
WEIGHTS = {"ce": 1.0}


class Method(DistillationMethod):
    """L = Σ_l CE(class and rotation, head l)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        network = setup.network
        self.heads = RotationHeads(network, setup.student, setup.classes, network.stages)

    def views(self, batch: Batch) -> Batch:
        """Four rotations."""
        return rotated(batch)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, a mean over the rotations, summed over the heads."""
        target = joint_target(batch.target)
        terms = [label_loss(logits, target) for logits in self.heads(student)]
        return {"ce": torch.stack(terms).sum()}
