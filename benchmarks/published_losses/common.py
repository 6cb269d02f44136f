"""What several of them share."""

from published_loop import Criterion
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, cross_entropy, kl_div, log_softmax, softmax

from stagewise.models.features import Features

Maps = list[Tensor]


def soft_targets(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    """T² KL of logits (B, classes), a mean over the batch."""
    log_p = log_softmax(student / temperature, dim=1)
    answer = softmax(teacher / temperature, dim=1)
    return kl_div(log_p, answer, reduction="sum") * temperature**2 / len(student)


def levels(features: Features, before_relu: bool = False) -> Maps:
    """f[0] … f[-1]: maps of the stem and the stages, and the pooled vector."""
    names = [name for name in features.taps if "." not in name]
    return [*(features.taps[f"{n}.pre" if before_relu else n] for n in names), features.pooled]


def of_one_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """The larger map pooled to the smaller one's size."""
    own, other = student.shape[2], teacher.shape[2]
    if own > other:
        student = adaptive_avg_pool2d(student, (other, other))
    elif own < other:
        teacher = adaptive_avg_pool2d(teacher, (own, own))
    return student, teacher


class Benchmark(Criterion):
    """γ · cross-entropy + α · KD + β · what a method compares."""

    gamma, alpha, beta = 1.0, 0.0, 1.0
    before_relu = False

    def forward(
        self, student: Features, teacher: Features, target: Tensor, *more: Tensor
    ) -> Tensor:
        """All three, whatever their weights are."""
        label = cross_entropy(student.logits, target)
        soft = soft_targets(student.logits, teacher.logits)
        own, other = levels(student, self.before_relu), levels(teacher, self.before_relu)
        return self.gamma * label + self.alpha * soft + self.beta * self.compare(own, other, *more)

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The method's own term, of f[0] … f[-1] of both."""
        return 0.0
