"""RKD: distances and angles between images are the teacher's (Park et al. 2019, CVPR).

"Relational Knowledge Distillation", arXiv 1904.05068, section 3.2: of the pooled vectors,
the distance of every two images in units of its network's mean distance, and the cosine of the
angle at every image between every two others, each compared by the smooth L1 loss. As in the
authors' and the CRD benchmark's code: means over all B² and B³ entries, those of an image with
itself, which are 0 for both networks, included; times 25 and 50. Two images with the same vector
have distance 0 and no direction here; there they get 1e-6 and a gradient of 1e12.
"""

from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from stagewise.declarations import Needs
from stagewise.methods._connectors import unit
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "RKD"
NEEDS = Needs(teacher=True, teacher_pooled=True)
WEIGHTS = {"ce": 1.0, "kd": 0.0, "distance": 25.0, "angle": 50.0}


def relations(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Of vectors (B, D): distances in units of their mean (B, B), 0 on the diagonal; and
    cos ∠(j, i, k), (B, B, B), 0 where two of the three are one."""
    differences = vectors[:, None] - vectors
    lengths = differences.norm(dim=2)
    mean = lengths.sum() / (len(vectors) * (len(vectors) - 1))
    directions = unit(differences)
    return lengths / mean.clamp(min=1e-12), directions @ directions.transpose(1, 2)


def relation_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 of the distances and of the angles of vectors (B, D) of any two widths."""
    distance, angle = (
        smooth_l1_loss(own, other)
        for own, other in zip(relations(student), relations(teacher), strict=True)
    )
    return distance, angle


class Method(DistillationMethod):
    """L = w_ce · CE(labels, student) + w_kd · T² KL + w_distance · distance + w_angle · angle."""

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        super().__init__(setup)
        self.temperature = temperature

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``, means over the batch; ``distance`` and ``angle``, over its pairs and
        triples."""
        assert teacher is not None
        distance, angle = relation_losses(full(student.pooled), full(teacher.pooled))
        return {
            "ce": label_loss(student.logits, batch.target),
            "kd": soft_target_loss(student.logits, teacher.logits, self.temperature),
            "distance": distance,
            "angle": angle,
        }
