"""FT: the student's translator learns the factors of the teacher's paraphraser (Kim et al. 2018).

"Paraphrasing Complex Network", NeurIPS 2018, arXiv 1802.04977, section 3.2. As in the CRD
benchmark: a factor is compared as Q(F), its channels' mean square as a vector of length 1, by the
mean absolute difference, times 200, and the translator has batch norm. Paper and authors' code
compare the whole factor as a vector of length 1, times 500, and use no batch norm.
"""

import torch
from torch import Tensor

from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.methods._connectors import (
    attention,
    factor_layers,
    last_map,
    of_one_size,
    stage_pairs,
)
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.methods.paraphraser import Method as Paraphraser
from stagewise.models.features import Batch, Features

NAME = "FT"
NEEDS = Needs(teacher=True, teacher_taps=True, teacher_part="paraphraser")
WEIGHTS = {"ce": 1.0, "kd": 0.0, "factor": 200.0}


def factor_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean |Q(F_s) - Q(F_t)| of factors (B, C, H, W), the larger one pooled to the smaller."""
    student, teacher = of_one_size(student, teacher)
    return (attention(student) - attention(teacher)).abs().mean()


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_factor · mean |Q(F_s) - Q(F_t)|."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        """Raises:
        UserError: a last map has a single pixel.
        """
        super().__init__(setup)
        assert setup.teacher is not None
        assert isinstance(setup.teacher_part, Paraphraser)
        for whose, features in (("student", setup.student), ("teacher", setup.teacher)):
            if last_map(features)[0, 0].numel() == 1:
                raise UserError(
                    f"ft: the {whose}'s last map has one pixel, so there is nothing to compare;"
                    " give larger images, or a network that shrinks them less"
                )
        self.temperature = temperature
        self.pairs = stage_pairs(setup.student, setup.teacher)[-1:]
        self.teacher_factor = setup.teacher_part.factor  # a function: nothing of it is learnt here
        with torch.no_grad():
            factors = self.teacher_factor(setup.teacher).shape[1]
        channels = last_map(setup.student).shape[1]
        self.translator = factor_layers([channels, channels, factors, factors], norm=True)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``factor``, each a mean over the batch."""
        assert teacher is not None
        factor = self.translator(last_map(student))
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "factor": factor_loss(factor, self.teacher_factor(teacher)),
        }
