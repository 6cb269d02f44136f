"""CC: neighbours in the batch are congruent for both networks (Peng et al. 2019, ICCV).

"Correlation Congruence for Knowledge Distillation", arXiv 1904.01802. The paper compares kernel
matrices of the batch. Here the loss is that of the CRD benchmark, whose authors had it from the
paper's: both networks' pooled vectors are embedded, and the absolute differences δ of an image are
multiplied with those of the next image of the batch; times 0.02. It is another loss than the
paper's, and the published numbers are of this one.

What an image learns depends on its neighbour, so on the batch's order, which is random. Both
embeddings are learnt, so they can also agree on saying nothing.
"""

from torch import Tensor, nn

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "CC"
NEEDS = Needs(teacher=True, teacher_pooled=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "cc": 0.02}


def congruence_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean_i Σ_d δ_i · δ_{i+1}, with δ = |e_s - e_t| of embeddings (B, D), over the B - 1 pairs of
    neighbours."""
    delta = (student - teacher).abs()
    return (delta[:-1] * delta[1:]).sum(1).mean()


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_cc · mean_i Σ_d δ_i · δ_{i+1}."""

    def __init__(self, setup: Setup, *, feat_dim: int = 128, temperature: float = 4.0) -> None:
        """``feat_dim``: of the embeddings.

        Raises:
            UserError: it is out of range.
        """
        check_range("feat_dim", feat_dim, 1, 4096)
        super().__init__(setup)
        assert setup.teacher is not None
        self.temperature = temperature
        self.embed_student = nn.Linear(setup.student.pooled.shape[1], feat_dim)
        self.embed_teacher = nn.Linear(setup.teacher.pooled.shape[1], feat_dim)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each a mean over the batch, and ``cc``, one over neighbours."""
        assert teacher is not None
        embedded = (
            self.embed_student(full(student.pooled)),
            self.embed_teacher(full(teacher.pooled)),
        )
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "cc": congruence_loss(*embedded),
        }
