"""OtO: exit k of the teacher instructs exit k of the student (MSKD's paper, Appl. Sci. 2022).

The teacher's exits are trained by cross-entropy on its frozen backbone (the paper does not say how;
HSAKD's published teachers do it so), so the teacher's own output stays that of plain KD;
``teacher_exits`` of an entry in ``methods`` has other ways.

Exits are paired by their place, the stage at which they stand, so one that a phase runs to learns
from the same exit as in the whole network. The paper's pairs have as many exits as each other. Else
the student's last learns from the teacher's last, and the others from that of the same stage:
1-1, 2-2, 3-4 where three learn from four, 1-1, 2-2, 3-3, 4-3 where four learn from three.
``partners`` states another pairing.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.methods._exits import Weights, by_place, check_weights, running, summed
from stagewise.methods.base import DistillationMethod, Losses, Setup, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.models.features import Batch, Features

NAME = "OtO"
NEEDS = Needs(exits=True, teacher=True, teacher_part="exits_ce")
WEIGHTS = {"ce": 0.1, "kd": 0.9}


def oto_loss(
    exits: tuple[Tensor, ...],
    teacher_exits: tuple[Tensor, ...],
    temperature: float,
    weights: Weights = (),
) -> Tensor:
    """Sum over exits of the soft-target loss to the teacher's exit at the same position, each times
    its weight; both are logits (B, classes)."""
    pairs = zip(exits, teacher_exits, strict=True)
    return summed([soft_target_loss(z, z_t, temperature) for z, z_t in pairs], weights)


class Method(DistillationMethod):
    """One teacher exit for one student exit.

    ``partners``: the stage of the teacher's exit for each of the student's, shallow to deep; by
    place where empty. ``exit_weights``: of both terms of each exit, shallow to deep; 1 each where
    empty.

    Raises:
        UserError: the partners are not as many as the student's exits, or none of the teacher's;
            the weights are not as many as the exits, or negative, or all 0.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        temperature: float = 4.0,
        partners: tuple[int, ...] = (),
        exit_weights: tuple[float, ...] = (),
    ) -> None:
        super().__init__(setup)
        check_weights("exit_weights", exit_weights, setup.student)
        self.exit_weights = dict(zip(setup.student.places, exit_weights, strict=False))
        assert setup.teacher is not None
        self.temperature = temperature
        own, theirs = setup.student.places, setup.teacher.places
        stages = len(setup.network.stages) if setup.student.exits else 1
        partners = tuple(partners) or by_place(own, theirs, stages)
        known = all(type(place) is int and place in theirs for place in partners)
        if len(partners) != len(own) or not known:
            raise UserError(
                f"partners: {list(partners)}: the student has exits behind stages {list(own)}, and"
                f" the teacher behind {list(theirs)}; give {len(own)} of the teacher's"
            )
        self.pairs = tuple((f"exit {s}", f"exit {t}") for s, t in zip(own, partners, strict=True))
        self.positions = {s: theirs.index(t) for s, t in zip(own, partners, strict=True)}

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each summed over the exits that run."""
        assert teacher is not None
        taught = tuple(teacher.exits[self.positions[place]] for place in student.places)
        weights = running(self.exit_weights, student)
        return {
            "ce": exits_cross_entropy(student.exits, batch.target, weights),
            "kd": oto_loss(student.exits, taught, self.temperature, weights),
        }
