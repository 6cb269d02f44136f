"""TSKD: every exit learns from the teacher and from the student's own deepest exit.

By MSKD's authors, Applied Intelligence 2022; of its text only abstract and introduction are
available. Reconstructed as self-distillation ("Be Your Own Teacher", Zhang et al. 2019, arXiv
1905.08094) with plain KD at every exit; α, γ and λ are the weights of ``kd``, ``self`` and
``features``, within what codes of that line have.
"""

from stagewise.declarations import Needs
from stagewise.methods.base import Losses
from stagewise.methods.mskd import mskd_loss
from stagewise.methods.self_distillation import Method as SelfDistillation
from stagewise.models.features import Batch, Features

NAME = "TSKD"
NEEDS = Needs(exits=True, teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9, "self": 0.2, "features": 0.03}


class Method(SelfDistillation):
    """L = w_ce · Σ_k CE + w_kd · Σ_k T² KL(teacher ‖ exit k) + self-distillation's terms."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, summed over the exits that run; ``self`` and ``features`` over all of
        them but the deepest."""
        assert teacher is not None
        taught = {"kd": mskd_loss(student.exits, teacher.logits, self.temperature)}
        return super().losses(student, teacher, batch) | taught
