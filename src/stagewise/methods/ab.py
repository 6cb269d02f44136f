"""AB: first the student's neurons learn on which side of 0 the teacher's are (Heo et al. 2019).

"Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons", AAAI, arXiv
1811.03233, section 3. What the stages' ReLUs get is compared: a student's neuron must be beyond a
margin on the side of the teacher's. Two phases, the recipe ``features_first``: this loss alone,
then training on labels, in which it has no weight (AB + KD is a weight of ``kd``).

As in the CRD benchmark: a connector of convolution and batch norm where shapes differ, and none
where they do not; the sum over neurons times 3/1000, halved with each stage from the deepest. The
paper has a 1x1 connector at every stage. Networks with different numbers of stages are paired from
the deepest.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._connectors import connector, stage_pairs
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "AB"
NEEDS = Needs(teacher=True, teacher_taps=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "boundary": 0.0}
RECIPE = {"recipe": "features_first", "term": "boundary"}

SCALE = 3 / 1000
"""Of the sum over neurons, in the benchmark's code."""


def boundary_loss(student: Tensor, teacher: Tensor, margin: float) -> Tensor:
    """Σ relu(m - s)² where t > 0, relu(m + s)² elsewhere; a mean over the batch.

    Both are maps (B, C, H, W) as a ReLU gets them.
    """
    lacking = relu(margin - student.where(teacher > 0, -student))
    return lacking.square().sum() / len(student)


def stages_loss(pairs: Iterable[tuple[Tensor, Tensor]], margin: float) -> Tensor:
    """3/1000 Σ_i 2^(i - L + 1) · boundary loss of pair i of L, shallow to deep."""
    losses = torch.stack([boundary_loss(s, t, margin) for s, t in pairs])
    halvings = torch.arange(len(losses) - 1, -1, -1, device=losses.device)
    return SCALE * (losses / 2**halvings).sum()


class Method(DistillationMethod):
    """L = w_boundary · Σ_i boundary loss, then w_ce · CE(labels, student) + w_kd · T² KL."""

    def __init__(self, setup: Setup, *, margin: float = 1.0, temperature: float = 4.0) -> None:
        """Raises:
        UserError: ``margin`` is out of range, or a student's map is too small.
        """
        check_range("margin", margin, 0, 1000)
        super().__init__(setup)
        assert setup.teacher is not None
        self.margin, self.temperature = margin, temperature
        stages = stage_pairs(setup.student, setup.teacher)
        self.pairs = tuple((f"{own}.pre", f"{theirs}.pre") for own, theirs in stages)
        self.connectors = nn.ModuleList()
        for of_student, of_teacher in self.pairs:
            own, theirs = setup.student.taps[of_student], setup.teacher.taps[of_teacher]
            alike = own.shape == theirs.shape
            self.connectors.append(
                nn.Identity() if alike else connector(own, theirs, f"ab: {of_student}")
            )

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce``, ``kd`` and ``boundary``, each a mean over the batch."""
        assert teacher is not None
        pairs = [
            (led(full(student.taps[of_student])), full(teacher.taps[of_teacher]))
            for led, (of_student, of_teacher) in zip(self.connectors, self.pairs, strict=True)
        ]
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "boundary": stages_loss(pairs, self.margin),
        }
