"""HSAKD: the student's stages learn class and rotation from the teacher's (Yang et al. 2021).

"Hierarchical Self-supervised Augmented Knowledge Distillation", IJCAI, arXiv 2107.13715, section 3.
Each image is shown in four rotations. A head on each of the student's stages imitates that on the
teacher's stage, over class and rotation together; the network's own output imitates the teacher's
on all rotations and learns the label of the upright image. All weights are 1, the temperature is 3;
the authors' code has Nesterov momentum (``nesterov`` of ``methods.hsakd.training``). The heads are
the method's, so the student has none when training ends.

Where the networks have different numbers of stages, heads are paired from the deepest, and a stage
without a partner has no head.
"""

import torch
from torch import Tensor

from stagewise.declarations import Needs
from stagewise.methods._rotations import ROTATIONS, RotationHeads, rotated
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    label_loss,
    soft_target_loss,
)
from stagewise.methods.rotation_heads import Method as TeacherHeads
from stagewise.models.features import Batch, Features

NAME = "HSAKD"
NEEDS = Needs(teacher=True, teacher_taps=True, teacher_part="rotation_heads", views=4)
WEIGHTS = {"ce": 1.0, "kd": 1.0, "heads": 1.0}


def heads_loss(student: list[Tensor], teacher: list[Tensor], temperature: float) -> Tensor:
    """Σ_l T² KL(head l of the teacher ‖ head l of the student), logits (4B, 4·classes) each, paired
    from the deepest; a mean over images and rotations."""
    pairs = zip(student, teacher[-len(student) :], strict=True)
    return torch.stack([soft_target_loss(s, t, temperature) for s, t in pairs]).sum()


class Method(DistillationMethod):
    """L = w_ce · CE(labels, upright) + w_kd · T² KL + w_heads · Σ_l T² KL(head l)."""

    def __init__(self, setup: Setup, *, temperature: float = 3.0) -> None:
        super().__init__(setup)
        assert isinstance(setup.teacher_part, TeacherHeads)
        self.temperature = temperature
        heads = setup.teacher_part.heads
        stages = setup.network.stages[-len(heads) :]
        self.heads = RotationHeads(setup.network, setup.student, setup.classes, stages)
        self.teacher_heads = heads.forward  # a function: nothing of it is learnt here

    def views(self, batch: Batch) -> Batch:
        """Four rotations."""
        return rotated(batch)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` of the upright images, ``kd`` and ``heads`` of all rotations; means over them."""
        assert teacher is not None
        upright = len(batch.labels) // ROTATIONS
        return {
            "ce": label_loss(student.logits[:upright], batch.target[:upright]),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "heads": heads_loss(self.heads(student), self.teacher_heads(teacher), self.temperature),
        }
