"""PKT: how likely images are to be neighbours is the teacher's (Passalis & Tefas 2018, ECCV).

"Learning Deep Representations with Probabilistic Knowledge Transfer", arXiv 1803.10837, section 3:
of the pooled vectors, the cosines of every two images as (cos + 1)/2, each row as a distribution
over the batch; their KL divergence. As in the authors' and the CRD benchmark's code: an image is
its own neighbour too, the mean is over all B² entries, times 30,000. That code adds 1e-7 to the
probabilities; here they stay logarithms, and only the similarity of opposite vectors, 0, becomes
1e-7.

It is no mean over images: in a batch twice as large a probability is half as large, so the loss of
batches that are alike falls as 1/B.
"""

from torch import Tensor
from torch.nn.functional import kl_div

from stagewise.declarations import Needs
from stagewise.methods._connectors import unit
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "PKT"
NEEDS = Needs(teacher=True, teacher_pooled=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "pkt": 30000.0}


def log_neighbours(vectors: Tensor) -> Tensor:
    """log p, (B, B): of vectors (B, D), the cosines as (cos + 1)/2, in rows that sum to 1."""
    directions = unit(vectors)
    similarity = ((directions @ directions.T + 1) / 2).clamp(min=1e-7)
    return similarity.log() - similarity.sum(1, keepdim=True).log()


def neighbour_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over B² of p_t log(p_t / p_s) of vectors (B, D) of any two widths."""
    log_p = log_neighbours(student), log_neighbours(teacher)
    return kl_div(*log_p, reduction="batchmean", log_target=True) / len(student)


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_pkt · Σ p_t log(p_t / p_s) / B²."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature = temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch, and ``pkt``, one over pairs of images."""
        assert teacher is not None
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "pkt": neighbour_loss(full(student.pooled), full(teacher.pooled)),
        }
