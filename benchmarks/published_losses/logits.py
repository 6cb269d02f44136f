"""Methods that compare logits: KD, DKD, both with standardised logits, DIST, WTTM."""

import torch
from published_loop import Criterion
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from published_losses.common import Benchmark, soft_targets
from stagewise.models.features import Features


class KD(Benchmark):
    """Hinton et al. 2015."""

    gamma, alpha, beta = 0.1, 0.9, 0.0


class DKD(Criterion):
    """Zhao et al. 2022; ``epoch`` is counted from 1."""

    temperature, alpha, beta, warm_up, epoch = 4.0, 1.0, 8.0, 20, 1

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels, and both parts as far as they are warmed up."""
        warm = min(self.epoch / self.warm_up, 1.0)
        parts = self.parts(student.logits, teacher.logits, target)
        return cross_entropy(student.logits, target) + warm * parts

    def parts(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """α · TCKD + β · NCKD."""
        own_class = torch.zeros_like(student).scatter_(1, target.unsqueeze(1), 1).bool()
        others = torch.ones_like(student).scatter_(1, target.unsqueeze(1), 0).bool()
        scale = self.temperature**2 / target.shape[0]

        def two(logits: Tensor) -> Tensor:
            p = softmax(logits / self.temperature, dim=1)
            sums = [(p * mask).sum(dim=1, keepdim=True) for mask in (own_class, others)]
            return torch.cat(sums, dim=1)

        tckd = kl_div(torch.log(two(student)), two(teacher), reduction="sum") * scale
        log_p = log_softmax(student / self.temperature - 1000.0 * own_class, dim=1)
        answer = softmax(teacher / self.temperature - 1000.0 * own_class, dim=1)
        nckd = kl_div(log_p, answer, reduction="sum") * scale
        return self.alpha * tckd + self.beta * nckd


def standardised(logits: Tensor) -> Tensor:
    """Sun et al. 2024: z-scores of rows."""
    return (logits - logits.mean(dim=-1, keepdim=True)) / (1e-7 + logits.std(dim=-1, keepdim=True))


class StandardisedKD(Criterion):
    """KD of standardised logits."""

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels by plain logits."""
        soft = soft_targets(standardised(student.logits), standardised(teacher.logits), 2.0)
        return 0.1 * cross_entropy(student.logits, target) + 9 * soft


class StandardisedDKD(DKD):
    """DKD of standardised logits."""

    temperature, alpha, beta = 2.0, 9.0, 72.0

    def parts(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Of z-scores."""
        return super().parts(standardised(student), standardised(teacher), target)


class DIST(Criterion):
    """Huang et al. 2022."""

    tau, inter, intra = 4.0, 2.0, 2.0

    @staticmethod
    def apart(student: Tensor, teacher: Tensor) -> Tensor:
        """One minus Pearson's correlation of rows."""
        own = student - student.mean(1).unsqueeze(1)
        other = teacher - teacher.mean(1).unsqueeze(1)
        lengths: Tensor = own.norm(dim=1) * other.norm(dim=1) + 1e-8
        return 1 - ((own * other).sum(1) / lengths).mean()

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels, rows and columns of the probabilities."""
        own = (student.logits / self.tau).softmax(dim=1)
        other = (teacher.logits / self.tau).softmax(dim=1)
        rows = self.tau**2 * self.apart(own, other)
        columns = self.tau**2 * self.apart(own.transpose(0, 1), other.transpose(0, 1))
        relations = self.inter * rows + self.intra * columns
        return cross_entropy(student.logits, target) + relations


class WTTM(Benchmark):
    """Zheng & Yang 2024."""

    beta, power = 4.0, 0.2

    def forward(
        self, student: Features, teacher: Features, target: Tensor, *more: Tensor
    ) -> Tensor:
        """Labels, and the teacher's probabilities to a power."""
        answer = torch.pow(softmax(teacher.logits, dim=1), self.power)
        total = torch.sum(answer, dim=1)
        answer = answer / total.unsqueeze(1)
        divergence = kl_div(log_softmax(student.logits, dim=1), answer, reduction="none").sum(1)
        return super().forward(student, teacher, target) + self.beta * torch.mean(
            total * divergence
        )
