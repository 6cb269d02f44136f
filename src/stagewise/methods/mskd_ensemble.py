"""MSKD from the teacher's ensemble: every exit imitates the mean of the teacher's exits' logits.

The control between MSKD and OtO: a teacher with exits, but one answer for all of the student's. So
what OtO gains beyond this is the pairing's, and not that of a teacher that is an ensemble.
"""

from stagewise.declarations import Needs
from stagewise.methods.base import Losses
from stagewise.methods.mskd import Method as MSKD
from stagewise.models.features import Batch, Features

NAME = "MSKD, teacher's ensemble"
NEEDS = Needs(exits=True, teacher=True, teacher_part="exits_ce")
WEIGHTS = {"ce": 0.1, "kd": 0.9}


class Method(MSKD):
    """The mean of the teacher's exits instructs every exit."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each summed over the exits that run."""
        assert teacher is not None
        return super().losses(student, teacher._replace(logits=teacher.answer), batch)
