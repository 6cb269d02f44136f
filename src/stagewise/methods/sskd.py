"""SSKD: which images the teacher finds alike when they are turned is taught too (Xu et al. 2020).

"Knowledge Distillation Meets Self-Supervision", ECCV, arXiv 2006.07114, section 3. Each image is
shown in four rotations. The student learns labels and the teacher's answer of the upright image,
its answers of the rotated ones, and, by a head of its own, the cosines that the teacher's contrast
head finds between rotated and upright images of the batch: those of all that the teacher places
right, and of the three quarters of the others whose own image it ranks best. As in the authors'
code: weights 0.1, 0.9, 2.7 and 10, temperature 4, of cosines 0.5; of the rotated answers all are
kept. That code does not flip images: give ``training: {flip: false}``. The head is the method's, so
the student has none when training ends.
"""

from torch import Tensor

from stagewise.declarations import Needs
from stagewise.errors import check_range
from stagewise.methods._rotations import ROTATIONS, rotated
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.methods.contrast_head import Method as ContrastHead
from stagewise.methods.contrast_head import origins, projection, similarities
from stagewise.models.features import Batch, Features

NAME = "SSKD"
NEEDS = Needs(teacher=True, teacher_pooled=True, teacher_part="contrast_head", views=4)
WEIGHTS = {"ce": 0.1, "kd": 0.9, "rotated": 2.7, "similarity": 10.0}


def best_ranked(teacher: Tensor, wrong_kept: float) -> Tensor:
    """(3B,) true for the rows of the teacher's cosines (3B, B) that teach: all whose own image is
    the nearest, and of the others the share ``wrong_kept`` that ranks it best.

    Of equal ranks, the one that is less behind the nearest is better; the authors' code leaves
    these to its sort.
    """
    own = teacher.gather(1, origins(teacher)[:, None])
    rank = (teacher > own).sum(1)
    behind = teacher.amax(1) - own[:, 0]  # at most 2
    place = (rank + behind / 4).argsort().argsort()
    wrong = (rank > 0).sum()
    return place < len(rank) - wrong + (wrong * wrong_kept).floor()


def similarity_loss(
    student: Tensor, teacher: Tensor, temperature: float, wrong_kept: float
) -> Tensor:
    """T² KL(softmax of the teacher's cosines ‖ of the student's), both (3B, B), a mean over the
    ``best_ranked`` rows."""
    kept = best_ranked(teacher, wrong_kept)
    learnt = student.where(kept[:, None], teacher)  # a row that is left out adds 0
    total = len(kept) * soft_target_loss(learnt, teacher, temperature)
    return total / kept.sum().clamp(min=1)


class Method(DistillationMethod):
    """L = w_ce · CE(labels) + w_kd · T² KL(upright) + w_rotated · T² KL(rotated) + w_similarity ·
    τ² KL(cosines)."""

    def __init__(
        self,
        setup: Setup,
        *,
        temperature: float = 4.0,
        similarity_temperature: float = 0.5,
        wrong_kept: float = 0.75,
    ) -> None:
        """``wrong_kept``: share of what the teacher places wrong that teaches nevertheless.

        Raises:
            UserError: an option is out of range.
        """
        check_range("similarity_temperature", similarity_temperature, 0.01, 100)
        check_range("wrong_kept", wrong_kept, 0, 1)
        super().__init__(setup)
        assert isinstance(setup.teacher_part, ContrastHead)
        self.temperature, self.similarity_temperature = temperature, similarity_temperature
        self.wrong_kept = wrong_kept
        self.projection = projection(setup.student)
        # a function: nothing of it is learnt here
        self.teacher_similarities = setup.teacher_part.similarities

    def views(self, batch: Batch) -> Batch:
        """Four rotations."""
        return rotated(batch)

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd`` of the upright images, ``rotated`` and ``similarity`` of the others;
        means over them."""
        assert teacher is not None
        upright = len(batch.labels) // ROTATIONS
        own, theirs = student.logits, teacher.logits
        cosines = similarities(self.projection(full(student.pooled)))
        return {
            "ce": label_loss(own[:upright], batch.target[:upright]),
            "kd": soft_target_loss(own[:upright], theirs[:upright], self.temperature),
            "rotated": soft_target_loss(own[upright:], theirs[upright:], self.temperature),
            "similarity": similarity_loss(
                cosines,
                self.teacher_similarities(teacher),
                self.similarity_temperature,
                self.wrong_kept,
            ),
        }
