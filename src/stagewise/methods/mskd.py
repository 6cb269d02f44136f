"""MSKD: every exit of the student imitates the teacher's output (Appl. Sci. 2022, 12:9453).

L = Σ_k w_k [w_ce CE(z_k) + w_kd T² KL(z^t ‖ z_k)] over the exits k, each with weight 1 unless
``exit_weights`` says otherwise. The paper's loss is not printed in what is available: this is its
minimal reading, which with one exit is plain KD.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods._exits import Weights, check_weights, running, summed
from stagewise.methods.base import DistillationMethod, Losses, Setup, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.models.features import Batch, Features

NAME = "MSKD"
NEEDS = Needs(exits=True, teacher=True)
WEIGHTS = {"ce": 0.1, "kd": 0.9}


def mskd_loss(
    exits: tuple[Tensor, ...], teacher: Tensor, temperature: float, weights: Weights = ()
) -> Tensor:
    """Sum over exits of the soft-target loss to the teacher's logits (B, classes), each times its
    weight."""
    return summed([soft_target_loss(z, teacher, temperature) for z in exits], weights)


class Method(DistillationMethod):
    """The teacher's final output instructs every exit.

    ``exit_weights``: of both terms of each exit, shallow to deep; 1 each where empty.

    Raises:
        UserError: the weights are not as many as the exits, or negative, or all 0.
    """

    def __init__(
        self, setup: Setup, *, temperature: float = 4.0, exit_weights: tuple[float, ...] = ()
    ) -> None:
        super().__init__(setup)
        self.temperature = temperature
        check_weights("exit_weights", exit_weights, setup.student)
        self.exit_weights = dict(zip(setup.student.places, exit_weights, strict=False))

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, each summed over the exits that run."""
        assert teacher is not None
        weights = running(self.exit_weights, student)
        return {
            "ce": exits_cross_entropy(student.exits, batch.target, weights),
            "kd": mskd_loss(student.exits, teacher.logits, self.temperature, weights),
        }
