"""ReviewKD: a stage learns the teacher's stage with the help of the deeper ones (Chen et al. 2021).

"Distilling Knowledge via Knowledge Review", CVPR, arXiv 2104.09044, section 3. From the pooled
vector up to the shallowest stage, each of the student's maps is fused with what came from below by
two shares of attention (ABF), and what is led to the teacher's shape learns its map as its ReLU
gets it, on the whole map and pooled to 4x4, 2x2 and one pixel (HCL). As in the authors' code: up to
512 channels between, a warm-up from 1/20 to 1 over 20 epochs, and by pair a weight of 5 (the
default: WRN students, resnet32x4-resnet8x4, ShuffleNetV1), 8 (ShuffleNetV2), 0.6
(resnet56-resnet20) or 1 (resnet110-resnet32).

The code's 3x3 convolution is 1x1 where the teacher's map has one pixel, which alone it would see.
Networks with different numbers of stages are paired from the deepest.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, mse_loss

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import stage_pairs
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
    warmth,
)
from stagewise.models.features import Batch, Features, precision_of

NAME = "ReviewKD"
NEEDS = Needs(teacher=True, teacher_pooled=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "review": 5.0}

WIDEST = 512
"""Most channels of what is handed from level to level."""


def context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """HCL: mean squared differences of maps (B, C, H, W), whole and pooled to each of 4, 2 and 1
    pixels that is less than H; each counts half of the one before, and the weights sum to 1."""
    sides = [side for side in (4, 2, 1) if side < student.shape[2]]
    pooled = [(adaptive_avg_pool2d(student, s), adaptive_avg_pool2d(teacher, s)) for s in sides]
    levels = [(0.5**n, mse_loss(*maps)) for n, maps in enumerate([(student, teacher), *pooled])]
    weighted = torch.stack([weight * loss for weight, loss in levels]).sum()
    return weighted / sum(weight for weight, _ in levels)


def resized(maps: Tensor, size: torch.Size) -> Tensor:
    """(B, C, H, W) with the pixels repeated or left out that make it of ``size``."""
    return maps if maps.shape[2:] == size else interpolate(maps, list(size))


class Fusion(nn.Module):
    """ABF: leads a student's map to ``between`` channels, fuses it with what came from deeper, and
    leads that to the teacher's shape."""

    def __init__(self, student: Tensor, teacher: Tensor, between: int, *, deepest: bool) -> None:
        """``student`` and ``teacher``: maps like those to come, (B, C, H, W)."""
        super().__init__()
        self.size = teacher.shape[2:]
        side = 1 if self.size.numel() == 1 else 3
        inputs, outputs = student.shape[1], teacher.shape[1]
        narrow = nn.Conv2d(inputs, between, 1, bias=False)
        lead = nn.Conv2d(between, outputs, side, padding=side // 2, bias=False)
        for layer in (narrow, lead):
            nn.init.kaiming_uniform_(layer.weight, a=1)
        self.narrow = nn.Sequential(narrow, nn.BatchNorm2d(between))
        self.lead = nn.Sequential(lead, nn.BatchNorm2d(outputs))
        self.attention = None if deepest else nn.Conv2d(2 * between, 2, 1)

    def forward(self, x: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """What learns the teacher's map, and what is handed on, (B, between, H, W) of its size."""
        x = self.narrow(x)
        if self.attention is not None and deeper is not None:
            deeper = resized(deeper, x.shape[2:])
            own, others = self.attention(torch.cat([x, deeper], dim=1)).sigmoid().split(1, dim=1)
            x = x * own + deeper * others
        x = resized(x, self.size)
        return self.lead(x), x


class Method(DistillationMethod):
    """L = w_ce · CE(labels) + w_kd · T² KL + min(epoch/warm_up, 1) · w_review · Σ HCL."""

    def __init__(self, setup: Setup, *, warm_up: int = 20, temperature: float = 4.0) -> None:
        """``warm_up``: epochs.

        Raises:
            UserError: it is out of range.
        """
        check_range("warm_up", warm_up, 0, 10**6)
        super().__init__(setup)
        assert setup.teacher is not None
        self.warm_up, self.temperature = warm_up, temperature
        stages = stage_pairs(setup.student, setup.teacher)
        self.pairs = tuple((own, f"{theirs}.pre") for own, theirs in stages)
        pairs = self.maps(setup.student, setup.teacher)
        between = min(WIDEST, setup.student.pooled.shape[1])
        self.fusions = nn.ModuleList(
            Fusion(*pair, between, deepest=not level) for level, pair in enumerate(pairs)
        )

    def maps(self, student: Features, teacher: Features) -> list[tuple[Tensor, Tensor]]:
        """The student's maps and the teacher's, (B, C, H, W), deep to shallow, the pooled vectors
        first."""
        pairs = [(student.pooled[:, :, None, None], teacher.pooled[:, :, None, None])]
        pairs += [(student.taps[own], teacher.taps[theirs]) for own, theirs in self.pairs[::-1]]
        return pairs

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd``, and ``review`` as far as it is warmed up; means over the batch."""
        assert teacher is not None
        terms, handed = [], None
        for fusion, (own, theirs) in zip(self.fusions, self.maps(student, teacher), strict=True):
            with precision_of(student.taps[self.pairs[-1][0]]):
                led, handed = fusion(own, handed)
            terms.append(context_loss(full(led), full(theirs)))
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "review": warmth(batch.progress, self.warm_up) * torch.stack(terms).sum(),
        }
