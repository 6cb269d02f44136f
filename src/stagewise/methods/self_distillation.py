"""Self-distillation: the deepest exit teaches the others; no teacher ("Be Your Own Teacher").

Zhang et al. 2019, ICCV, arXiv 1905.08094, section 3.2: cross-entropy at every exit, the deepest
exit's soft targets at all others, and their features, here the vectors that the exits' linear
layers get. The deepest exit learns nothing from the others: its side of both terms has no gradient.
The paper mixes labels and soft targets by α; here terms have weights of their own. Published codes
sum the squares over batch and channels, with weights about 1e-6; here they are means, and 0.03 is
the same for vectors of 512 in batches of 64.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.errors import UserError
from stagewise.methods._exits import nothing, summed
from stagewise.methods.base import DistillationMethod, Losses, Setup, full, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.models.features import Batch, Features

NAME = "self-distillation"
NEEDS = Needs(exits=True)
WEIGHTS = {"ce": 1.0, "self": 0.2, "features": 0.03}


def self_loss(exits: tuple[Tensor, ...], temperature: float) -> Tensor:
    """Σ_{k<K} T² KL(exit K ‖ exit k), logits (B, classes) of at least two exits."""
    *early, last = exits
    return summed([soft_target_loss(z, last.detach(), temperature) for z in early])


def feature_loss(vectors: tuple[Tensor, ...]) -> Tensor:
    """Σ_{k<K} mean (F_k - F_K)², vectors (B, C) of at least two exits."""
    *early, last = map(full, vectors)
    return summed([(vector - last.detach()).square().mean() for vector in early])


class Method(DistillationMethod):
    """L = w_ce · Σ_k CE + w_self · Σ_{k<K} T² KL(exit K ‖ exit k) + w_features · Σ_{k<K} MSE.

    In a phase that runs no deeper than exit i, that one is the teacher of those before it.

    Raises:
        UserError: the exits' vectors are not of one width.
    """

    compares_exits = True

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature = temperature
        widths = [vectors.shape[1] for vectors in setup.student.exit_vectors]
        if len({*widths}) > 1:
            raise UserError(
                f"multi_exit.head: the exits' features have {', '.join(map(str, widths))} channels,"
                " and self-distillation compares them; choose a head that ends in as many as the"
                " last stage has, like sepatt"
            )

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, summed over the exits that run; ``self`` and ``features`` over all of them but
        the deepest, 0 where there are none."""
        several = len(student.exits) > 1
        return {
            "ce": exits_cross_entropy(student.exits, batch.target),
            "self": self_loss(student.exits, self.temperature) if several else nothing(student),
            "features": feature_loss(student.exit_vectors) if several else nothing(student),
        }
