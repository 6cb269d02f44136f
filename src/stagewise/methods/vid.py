"""VID: the student's maps leave little to guess of the teacher's (Ahn et al. 2019, CVPR).

"Variational Information Distillation for Knowledge Transfer", arXiv 1904.05835, section 2.1: a
lower bound of the mutual information, by a Gaussian that predicts the teacher's map; its mean is a
small network of the student's map, its variance a learnable number for each channel. As in the CRD
benchmark, after the authors' code: three 1x1 convolutions, variances that start at 5, larger maps
pooled to the smaller, the mean over everything, at the end of every stage. The constant of the
logarithm is left out, so the loss may fall under 0.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import paired_maps, stage_pairs
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "VID"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "vid": 1.0}

LEAST_VARIANCE = 1e-5


def information_loss(predicted: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """Mean ½ ((μ - t)²/σ² + log σ²): of maps t and ``predicted`` maps μ, both (B, C, H, W), and
    variances σ² (C,)."""
    mean, variance = predicted
    spread = variance[:, None, None]
    return 0.5 * ((mean - target).square() / spread + spread.log()).mean()


class Gaussian(nn.Module):
    """What a map of the student, (B, ``inputs``, H, W), says of one of the teacher's: its mean
    (B, ``outputs``, H, W) and its variance (``outputs``,)."""

    def __init__(self, inputs: int, outputs: int, variance: float) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        start = math.log(math.expm1(variance - LEAST_VARIANCE))
        self.rho = nn.Parameter(torch.full((outputs,), start))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance."""
        return self.mean(maps), softplus(self.rho) + LEAST_VARIANCE


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_vid · Σ_l mean ½ ((μ - t)²/σ² + log σ²)."""

    def __init__(self, setup: Setup, *, variance: float = 5.0, temperature: float = 4.0) -> None:
        """``variance``: at the start.

        Raises:
            UserError: it is out of range.
        """
        check_range("variance", variance, 0.001, 80)
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.pairs = stage_pairs(setup.student, setup.teacher)
        self.gaussians = nn.ModuleList(
            Gaussian(setup.student.taps[own].shape[1], setup.teacher.taps[other].shape[1], variance)
            for own, other in self.pairs
        )

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``vid``, each a mean over the batch."""
        assert teacher is not None
        maps = paired_maps(self.pairs, student, teacher)
        terms = [
            information_loss(gaussian(own), other)
            for gaussian, (own, other) in zip(self.gaussians, maps, strict=True)
        ]
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "vid": torch.stack(terms).sum(),
        }
