"""CRD: contrastive representation distillation (Tian, Krishnan & Isola 2020, ICLR).

arXiv 1910.10699, section 3. Student and teacher embed an image on the unit sphere; each embedding
must tell the other network's embedding of the same image from those of images of other classes,
which memory banks hold, one row an image and network. As in the CRD benchmark's code: both
directions, banks that follow with momentum 0.5, and a normalisation Z fixed from the first batch,
which the paper's critic lacks. (The code also adds 1e-7 to a denominator.)

The code draws an image's negatives without replacement where there are enough; here they are drawn
with it, as the paper's derivation has independent draws, and because that is a function of (seed,
step, image) that costs no sorting: 16,384 draws from 49,500 are 13,950 images.

Memory: 2 x 128 numbers for each training image. The code gathers 64 x 16,385 x 128 numbers a step
from each bank (537 MB); here the batch's products with the whole bank are 64 x 50,000 numbers (13
MB). On a CPU's core that takes a fifteenth of the time, and 0.14 GB instead of 1.2 GB.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._memory import MemoryBank, Negatives
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "CRD"
NEEDS = Needs(teacher=True, teacher_pooled=True, kept=256, compared=3)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "crd": 0.8}


def contrastive_loss(scores: Tensor, log_z: Tensor, images: int) -> Tensor:
    """-log h(pair) - Σ_k log(1 - h(negative k)), a mean over the batch; h = q / (q + K/N).

    ``scores`` (B, 1 + K): ⟨embedding, memory⟩/τ, the pair's first; q = exp(score)/Z; N ``images``.
    """
    log_odds = scores - log_z - math.log((scores.shape[1] - 1) / images)
    pair, negatives = log_odds[:, 0], log_odds[:, 1:]
    return -(logsigmoid(pair).sum() + logsigmoid(-negatives).sum()) / len(scores)


def log_partition(scores: Tensor, images: int) -> Tensor:
    """log Z, (): of Z = N · mean exp(score) over all entries."""
    return scores.flatten().logsumexp(0) + math.log(images / scores.numel())


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_crd · (loss(student) + loss(teacher))."""

    log_z: Tensor

    def __init__(
        self,
        setup: Setup,
        *,
        feat_dim: int = 128,
        negatives: int = 16384,
        tau: float = 0.07,
        momentum: float = 0.5,
        temperature: float = 4.0,
    ) -> None:
        """``feat_dim``: of the embeddings; ``tau``: the critic's temperature.

        Raises:
            UserError: an option is out of range.
        """
        check_range("feat_dim", feat_dim, 1, 4096)
        check_range("negatives", negatives, 1, 10**6)
        check_range("tau", tau, 0.001, 100)
        check_range("momentum", momentum, 0, 1)
        super().__init__(setup)
        assert setup.teacher is not None
        self.tau, self.momentum, self.temperature = tau, momentum, temperature
        self.number, self.images = negatives, len(setup.labels)
        self.negatives = Negatives(setup.labels, setup.classes, setup.seed)
        self.embed_student = nn.Linear(setup.student.pooled.shape[1], feat_dim)
        self.embed_teacher = nn.Linear(setup.teacher.pooled.shape[1], feat_dim)
        self.student_bank = MemoryBank(self.images, feat_dim)
        self.teacher_bank = MemoryBank(self.images, feat_dim)
        self.register_buffer("log_z", torch.full((2,), math.nan))
        self.normalised = False

    def embed(self, student: Features, teacher: Features) -> tuple[Tensor, Tensor]:
        """Embeddings (B, feat_dim) of length 1."""
        return (
            normalize(self.embed_student(full(student.pooled))),
            normalize(self.embed_teacher(full(teacher.pooled))),
        )

    def scores(self, student: Features, teacher: Features, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, 1 + K) each: the student's embedding with the teacher's bank, and the other way."""
        drawn = torch.cat([batch.index[:, None], self.negatives(batch, self.number)], dim=1)
        of_student, of_teacher = self.embed(student, teacher)
        return (
            self.teacher_bank(of_student, drawn) / self.tau,
            self.student_bank(of_teacher, drawn) / self.tau,
        )

    def partitions(self, scores: tuple[Tensor, Tensor]) -> Tensor:
        """log Z of both, (2,): as fixed, or before that those of these ``scores``."""
        if self.normalised:
            return self.log_z
        now = torch.stack([log_partition(each.detach(), self.images) for each in scores])
        return torch.where(self.log_z.isnan(), now, self.log_z)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``crd``, each a mean over the batch."""
        assert teacher is not None
        scores = self.scores(student, teacher, batch)
        log_z = self.partitions(scores)
        both = [contrastive_loss(s, z, self.images) for s, z in zip(scores, log_z, strict=True)]
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "crd": torch.stack(both).sum(),
        }

    def remember(self, student: Features, teacher: Features | None, batch: Batch) -> None:
        """Z once, then the batch's rows of the banks."""
        assert teacher is not None
        if not self.normalised:  # in this process: a restored Z stays, which the device alone knows
            self.log_z.copy_(self.partitions(self.scores(student, teacher, batch)))
            self.normalised = True
        of_student, of_teacher = self.embed(student, teacher)
        self.student_bank.follow(batch.index, of_student, self.momentum)
        self.teacher_bank.follow(batch.index, of_teacher, self.momentum)
