"""FSP: first the student's features learn how the teacher's flow from stage to stage (Yim et al.).

"A Gift from Knowledge Distillation", CVPR 2017, section 3. A step's flow is the Gram matrix of two
consecutive maps, channels by channels. Two phases, the recipe ``features_first``: the flows alone,
then training on labels, in which they have no weight (FSP + KD is a weight of ``kd``).

As in the CRD benchmark: the stem's and all stages' maps, the larger map of a step average-pooled,
mean squared differences, weight 1 in the first phase (the β of 50 in its script multiplies 0). The
paper max-pools and takes the sum of squares. Flows of other channels cannot be compared, as from
WRN-40-2 to WRN-40-1, "n/a" in the benchmark's table. Networks with different numbers of stages are
paired from the deepest.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.methods._connectors import depths, from_deepest, of_one_size
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "FSP"
NEEDS = Needs(teacher=True, teacher_taps=True, same_channels=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "flow": 0.0}
RECIPE = {"recipe": "features_first", "term": "flow"}


def flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """(B, C, D): products of each two channels of maps (B, C, H, W) and (B, D, H', W'), a mean over
    the smaller one's places."""
    shallow, deep = of_one_size(shallow, deep)
    return shallow.flatten(2) @ deep.flatten(2).mT / shallow[0, 0].numel()


def flow_loss(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Σ over steps of the mean squared difference of flows; maps (B, C, H, W), shallow to deep."""
    steps = zip(pairwise(student), pairwise(teacher), strict=True)
    return torch.stack([mse_loss(flow(*own), flow(*theirs)) for own, theirs in steps]).sum()


class Method(DistillationMethod):
    """L = w_flow · Σ mean (G_s - G_t)², then w_ce · CE(labels, student) + w_kd · T² KL."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        """Raises:
        UserError: the maps that are compared have other channels.
        """
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.pairs = from_deepest(depths(setup.student), depths(setup.teacher))
        own = [setup.student.taps[of_student].shape[1] for of_student, _ in self.pairs]
        theirs = [setup.teacher.taps[of_teacher].shape[1] for _, of_teacher in self.pairs]
        if own != theirs:
            raise UserError(
                f"fsp: it compares maps channel by channel, but the student's have {own} channels"
                f" and the teacher's {theirs}; choose a student of the teacher's kind and width"
            )

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``flow``, each a mean over the batch."""
        assert teacher is not None
        own = [full(student.taps[of_student]) for of_student, _ in self.pairs]
        theirs = [full(teacher.taps[of_teacher]) for _, of_teacher in self.pairs]
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "flow": flow_loss(own, theirs),
        }
