"""AFD: attention says which student block learns from which teacher block (Ji et al. 2021, AAAI).

"Show, Attend and Distill", arXiv 2102.02973, section 3. A teacher block's query meets the student
blocks' keys, made of the maps' means over space, and every pair is compared as far as it gets
attention: by the mean squared difference of the maps' mean squares over channels, as vectors of
length 1. As in the authors' code (clovaai/attention-feature-distillation): keys but not queries
behind a ReLU, a bilinear layer with batch norm, labels at weight 1 beside 0.9 KD and 200 AFD.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize, relu

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import block_maps, energy
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "AFD"
NEEDS = Needs(teacher=True, teacher_taps=True, blocks=True)
WEIGHTS = {"ce": 1.0, "kd": 0.9, "afd": 200.0}


def value(energies: Tensor) -> Tensor:
    """(B, H·W) of length 1: a map's mean squares over channels, (B, H, W)."""
    return normalize(energies.flatten(1))


def afd_loss(student: list[Tensor], teacher: list[Tensor], attention: Tensor) -> Tensor:
    """Σ_t Σ_s attention_ts · mean (v_s - v_t)², a mean over the batch.

    ``student`` and ``teacher``: maps (B, C, H, W) of S and T blocks; the student's are
    average-pooled to each teacher block's size. ``attention``: (B, T, S).
    """
    energies = [energy(tap) for tap in student]
    pooled: dict[tuple[int, int], Tensor] = {}
    distances = []
    for theirs in map(energy, teacher):
        size = theirs.shape[1], theirs.shape[2]
        if size not in pooled:
            resized = [value(adaptive_avg_pool2d(each, size)) for each in energies]
            pooled[size] = torch.stack(resized, dim=1)
        distances.append((pooled[size] - value(theirs)[:, None]).square().mean(2))
    return (attention * torch.stack(distances, dim=1)).sum((1, 2)).mean()


def wanted(teacher: list[Tensor]) -> list[Tensor]:
    """The maps of more than one pixel: as a vector of length 1, a single one says nothing."""
    return [tap for tap in teacher if tap[0, 0].numel() > 1]


def normed(inputs: int, outputs: int) -> nn.Sequential:
    """A linear layer and batch norm, which takes the place of its bias."""
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs))


def means(maps: list[Tensor]) -> list[Tensor]:
    """Over space: (B, C) of each (B, C, H, W)."""
    return [tap.mean((2, 3)) for tap in maps]


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_afd · AFD."""

    def __init__(self, setup: Setup, *, qk_dim: int = 128, temperature: float = 4.0) -> None:
        """``qk_dim``: of queries and keys.

        Raises:
            UserError: it is out of range.
        """
        check_range("qk_dim", qk_dim, 1, 4096)
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        keys, queries = (
            [tap.shape[1] for tap in maps]
            for maps in (block_maps(setup.student), wanted(block_maps(setup.teacher)))
        )
        self.keys = nn.ModuleList(normed(channels, qk_dim) for channels in keys)
        self.bilinear = normed(qk_dim, qk_dim * len(queries))
        self.queries = nn.ModuleList(normed(channels, qk_dim) for channels in queries)
        self.student_position = nn.Parameter(torch.empty(len(keys), qk_dim))
        self.teacher_position = nn.Parameter(torch.empty(len(queries), qk_dim))
        nn.init.xavier_normal_(self.student_position)
        nn.init.xavier_normal_(self.teacher_position)

    def attention(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        """(B, T, S): how much each teacher block attends to each student block; sums to 1 over S.

        Both are means over space of the blocks' maps, (B, C) each.
        """
        key = torch.stack(
            [relu(layer(mean)) for layer, mean in zip(self.keys, student, strict=True)], dim=1
        )
        query = torch.stack(
            [layer(mean) for layer, mean in zip(self.queries, teacher, strict=True)], dim=1
        )
        shape = (*key.shape[:2], len(teacher), key.shape[2])
        bilinear = self.bilinear(key.flatten(0, 1)).view(shape)
        scores = torch.einsum("bstq,btq->bts", bilinear, query)
        scores = scores + self.teacher_position @ self.student_position.T
        return (scores / math.sqrt(key.shape[2])).softmax(dim=2)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``afd``, each a mean over the batch."""
        assert teacher is not None
        maps, theirs = block_maps(student), wanted(block_maps(teacher))
        attention = self.attention(means(maps), means(theirs))
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "afd": afd_loss(maps, theirs, attention),
        }
