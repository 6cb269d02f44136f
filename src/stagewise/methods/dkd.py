"""DKD: soft targets in two parts, target and non-target classes (Zhao et al. 2022, CVPR).

arXiv 2203.08679, section 3: KL(p^t ‖ p^s) = TCKD + (1 - p^t_target) · NCKD. TCKD compares how sure
both are of the label, NCKD what they think of the other classes, and each gets a weight of its own:
``tckd`` is the paper's α, 1; ``nckd`` its β, by pair 8 (the default: resnet32x4-resnet8x4, mobile
students), 6 (VGG13 and WRN40-2 with all their students) or 2 (resnet56-resnet20,
resnet110-resnet32). The warm-up is the code's: both parts grow from 1/20 in the first epoch to 1 in
the twentieth.
"""

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    warmth,
)
from stagewise.models.features import Batch, Features

NAME = "DKD"
NEEDS = Needs(teacher=True)
WEIGHTS = {"ce": 1.0, "tckd": 1.0, "nckd": 8.0}


def decouple(logits: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits (B, C) at a temperature as two log-distributions: b (B, 2) of the target class and all
    others, and p̂ (B, C - 1) of the others among themselves.

    Without the target's column where the authors' code takes 1,000 from its logit; both are
    computed in log space, so no logarithm of 0 occurs.
    """
    log_p = log_softmax(full(logits) / temperature, dim=1)
    columns = torch.arange(logits.shape[1] - 1, device=logits.device)
    others = log_p.gather(1, columns + (columns >= labels[:, None]))
    rest = others.logsumexp(dim=1, keepdim=True)
    return torch.cat([log_p.gather(1, labels[:, None]), rest], dim=1), others - rest


def dkd_terms(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """TCKD = T² KL(b^t ‖ b^s) and NCKD = T² KL(p̂^t ‖ p̂^s), each a mean over the batch.

    ``student`` and ``teacher`` are logits (B, C), ``labels`` int64 (B,).
    """
    pairs = zip(
        decouple(student, labels, temperature), decouple(teacher, labels, temperature), strict=True
    )
    tckd, nckd = (
        temperature**2 * kl_div(s, t, reduction="batchmean", log_target=True) for s, t in pairs
    )
    return tckd, nckd


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + min(epoch/warm_up, 1) · (w_tckd · TCKD + w_nckd · NCKD)."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0, warm_up: int = 20) -> None:
        """``warm_up``: epochs.

        Raises:
            UserError: it is out of range.
        """
        check_range("warm_up", warm_up, 0, 10**6)
        super().__init__(setup)
        self.temperature, self.warm_up = temperature, warm_up

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, and ``tckd`` and ``nckd`` as far as they are warmed up."""
        assert teacher is not None
        tckd, nckd = dkd_terms(student.logits, teacher.logits, batch.labels, self.temperature)
        warm = warmth(batch.progress, self.warm_up)
        return {
            "ce": label_loss(student.logits, batch.target),
            "tckd": warm * tckd,
            "nckd": warm * nckd,
        }
