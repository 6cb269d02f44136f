"""KD on the last exit only: the early exits learn the labels alone.

The control of MSKD (Appl. Sci. 2022, 12:9453) that has its network and its teacher, but distils
where plain KD does: what MSKD gains beyond this is that of teaching every exit.
"""

from stagewise.declarations import Needs
from stagewise.methods._exits import nothing
from stagewise.methods.base import DistillationMethod, Losses, Setup, label_loss, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.models.features import Batch, Features

NAME = "KD on the last exit"
NEEDS = Needs(exits=True, teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9, "early": 1.0}


class Method(DistillationMethod):
    """L = w_ce · CE(labels, exit K) + w_kd · T² KL(teacher ‖ exit K) + w_early · Σ_{k<K} CE."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature, self.last = temperature, setup.student.places[-1]

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd`` of the last exit; ``early``, cross-entropy summed over the others. 0
        where a phase does not run them."""
        assert teacher is not None
        zero, last = nothing(student), self.last in student.places
        early = student.exits[:-1] if last else student.exits
        return {
            "ce": label_loss(student.logits, batch.target) if last else zero,
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature)
            if last
            else zero,
            "early": exits_cross_entropy(early, batch.target) if early else zero,
        }
