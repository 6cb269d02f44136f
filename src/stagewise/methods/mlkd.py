"""MLKD: Multi-Level Logit Distillation (Jin, Wang & Lin 2023, CVPR).

Section 3: the student learns its teacher's answers at several temperatures on three levels: image
by image, and by the relations of images (batch) and of classes (class) that all answers show. Each
image is shown twice, as it is and in a strong view: labels and answers are learnt of both views,
relations of the first. In the first, the half of the images and of the classes counts of which the
teacher is less sure. The authors' code has 0.1 CE, 0.9 for each level, and base temperature 4.

Where their code differs: it multiplies losses that are means already by the mask, which halves them
and selects nothing; its strong answers at T = 2 and 6 are those of the first view; its strong view
has a crop and flip of its own. Tables have it with 480 epochs, lr 0.025, milestones 150, 180, 210:
two views of twice the epochs, four times what KD is shown (``methods.mlkd.training``).
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import softmax

from stagewise.data.randaugment import cutout, randaugment
from stagewise.declarations import Needs
from stagewise.methods.base import (
    DistillationMethod,
    Losses,
    Setup,
    full,
    label_loss,
    soft_target_loss,
)
from stagewise.models.features import Batch, Features

NAME = "MLKD"
NEEDS = Needs(teacher=True, views=2)
WEIGHTS = {"ce": 0.1, "kd": 0.9, "batch": 0.9, "class": 0.9}

TEMPERATURES = (2.0, 3.0, 5.0, 6.0)
"""Those beside the base temperature."""


def less_sure(confidence: Tensor) -> Tensor:
    """(N,) 1 at the lower half of ``confidence`` (N,), the median included, else 0."""
    return (confidence <= confidence.median()).to(confidence.dtype)


def relation_loss(student: Tensor, teacher: Tensor, counts: Tensor) -> Tensor:
    """Σ_ij counts_j (P^t P^tᵀ - P^s P^sᵀ)²_ij / N, of answers P (N, M) and ``counts`` (N,)."""
    return (counts * (teacher @ teacher.T - student @ student.T) ** 2).sum() / len(student)


class Method(DistillationMethod):
    """L = w_ce · CE + Σ_T (w_kd · T² KL + w_batch · relations of images + w_class · of classes)."""

    mean: Tensor
    std: Tensor

    def __init__(self, setup: Setup, *, temperature: float = 4.0) -> None:
        """``temperature``: the base, beside ``TEMPERATURES``."""
        super().__init__(setup)
        self.seed, self.temperatures = setup.seed, (temperature, *TEMPERATURES)
        self.register_buffer("mean", setup.mean, persistent=False)
        self.register_buffer("std", setup.std, persistent=False)

    def views(self, batch: Batch) -> Batch:
        """The batch, and a strong view of each image: a function of (seed, step, index)."""
        key = self.seed, batch.step, batch.index
        pixels = ((batch.images * self.std + self.mean) * 255).round().clamp(0, 255).byte()
        strong = randaugment(pixels, *key).to(batch.images.dtype) / 255
        strong = cutout((strong - self.mean) / self.std, *key)
        return replace(
            batch,
            images=torch.cat([batch.images, strong]).contiguous(memory_format=torch.channels_last),
            labels=batch.labels.repeat(2),
            index=batch.index.repeat(2),
            view=batch.view.repeat(2),
            target=torch.cat([batch.target] * 2),
        )

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and ``kd``: means over images, summed over views; ``batch``, ``class``."""
        assert teacher is not None
        z_s, z_t = full(student.logits), full(teacher.logits)
        weak_s, weak_t = (z.chunk(2)[0] for z in (z_s, z_t))
        sure = softmax(weak_t, dim=1)
        images, classes = less_sure(sure.amax(1)), less_sure(sure.sum(0))
        # a row of zeros is the same answer of both: its KL and gradient are 0
        counts = torch.cat([images, torch.ones_like(images)])[:, None]
        levels = []
        for temperature in self.temperatures:
            p_s, p_t = softmax(weak_s / temperature, dim=1), softmax(weak_t / temperature, dim=1)
            levels.append(
                {
                    "kd": 2 * soft_target_loss(counts * z_s, counts * z_t, temperature),
                    "batch": relation_loss(p_s, p_t, images),
                    "class": relation_loss(p_s.T, p_t.T, classes),
                }
            )
        terms = {name: torch.stack([level[name] for level in levels]).sum() for name in levels[0]}
        return {"ce": 2 * label_loss(student.logits, batch.target), **terms}
