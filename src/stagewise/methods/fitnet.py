"""FitNet: the student's middle layer predicts the teacher's (Romero et al. 2015, ICLR).

arXiv 1412.6550, section 2.2. Here together with the labels, as in the CRD benchmark: CE + 100 times
the mean squared error between the regressed map and the teacher's f[2], in one phase. The paper's
two stages, first the hint alone, are ``fitnet_two_stage``; its hint loss is half the *sum* of
squares, and its regressor has no batch norm.
"""

from torch import Tensor
from torch.nn.functional import mse_loss

from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.methods._connectors import depths, regressor
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "FitNet"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "hint": 100.0}


def hint_loss(guided: Tensor, hint: Tensor) -> Tensor:
    """Mean squared difference of the regressed and the teacher's map, both (B, C, H, W)."""
    return mse_loss(guided, full(hint))


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_hint · mean (r(student's map) - hint)²."""

    def __init__(self, setup: Setup, *, hint: int = 2, temperature: float = 4.0) -> None:
        """``hint``: depth of both maps: 0 is the stem's, k the k-th stage's.

        Raises:
            UserError: one network is not so deep, or its map is too small.
        """
        super().__init__(setup)
        assert setup.teacher is not None
        names = [depths(setup.student), depths(setup.teacher)]
        if not all(0 <= hint < len(known) for known in names):
            raise UserError(
                f"hint: {hint} is no depth of both networks; give 0 to {min(map(len, names)) - 1}"
            )
        self.tap, self.temperature = names[0][hint], temperature
        self.pairs = ((self.tap, self.tap),)
        maps = setup.student.taps[self.tap], setup.teacher.taps[self.tap]
        self.regressor = regressor(*maps, f"hint: {self.tap}")

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``hint``, each a mean over the batch."""
        assert teacher is not None
        guided = self.regressor(full(student.taps[self.tap]))
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "hint": hint_loss(guided, teacher.taps[self.tap]),
        }
