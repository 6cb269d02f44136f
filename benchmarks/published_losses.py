"""What the field's scripts add to their loop for each method, written anew from how they work.

One class a method, as RepDistiller, mdistiller or the authors' own code has it: plain modules,
whole tensors where they make whole tensors, host reads where they read, the term that they compute
and weigh with 0. Nothing in it is slower than there. A test says that each loss, with our weights,
is ours. Taps come from the network's features, which is not slower than their lists.
"""

import random
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from published_loop import TO_TENSOR, Criterion, Images
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    cosine_similarity,
    cross_entropy,
    interpolate,
    kl_div,
    log_softmax,
    mse_loss,
    normalize,
    smooth_l1_loss,
    softmax,
)
from torchvision import transforms

from stagewise.methods._rotations import RotationHeads
from stagewise.methods.base import Setup
from stagewise.methods.rotation_heads import Method as TeacherHeads
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


# -- RepDistiller ----------------------------------------------------------------------------------


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


class KD(Benchmark):
    """Hinton et al. 2015."""

    gamma, alpha, beta = 0.1, 0.9, 0.0


class ConvReg(nn.Module):
    """A convolution from maps like the student's to the teacher's, batch norm, maybe ReLU."""

    def __init__(self, student: Tensor, teacher: Tensor, use_relu: bool = True) -> None:
        super().__init__()
        (_, inputs, side, _), (_, outputs, wanted, _) = student.shape, teacher.shape
        if side == 2 * wanted:
            self.conv: nn.Module = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        elif 2 * side == wanted:
            self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        else:
            self.conv = nn.Conv2d(inputs, outputs, 1 + side - wanted)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True) if use_relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_s, H_s, W_s) → (B, C_t, H_t, W_t)."""
        found: Tensor = self.relu(self.bn(self.conv(x)))
        return found


class FitNet(Benchmark):
    """Romero et al. 2015, the hint at f[2] together with the labels."""

    beta = 100.0

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.regressor = ConvReg(levels(setup.student)[2], levels(setup.teacher)[2])

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Mean squared error."""
        return mse_loss(self.regressor(student[2]), teacher[2])


def energy(maps: Tensor) -> Tensor:
    """(B, H·W): mean squares over channels, as vectors of length 1."""
    return normalize(maps.pow(2).mean(1).view(maps.size(0), -1))


class AT(Benchmark):
    """Zagoruyko & Komodakis 2017."""

    beta = 1000.0

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the stages."""
        pairs = [of_one_size(*pair) for pair in zip(student[1:-1], teacher[1:-1], strict=True)]
        return sum((energy(own) - energy(other)).pow(2).mean() for own, other in pairs)


class SP(Benchmark):
    """Tung & Mori 2019."""

    beta = 3000.0

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Of the last map."""
        count = student[-2].size(0)
        own, other = student[-2].view(count, -1), teacher[-2].view(count, -1)
        difference = normalize(torch.mm(other, other.t())) - normalize(torch.mm(own, own.t()))
        return (difference * difference).view(-1, 1).sum(0).squeeze() / (count * count)


class CC(Benchmark):
    """Peng et al. 2019, as RepDistiller has it."""

    beta = 0.02

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.embed_s = nn.Linear(setup.student.pooled.shape[1], 128)
        self.embed_t = nn.Linear(setup.teacher.pooled.shape[1], 128)

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Of neighbours in the batch."""
        delta = torch.abs(self.embed_s(student[-1]) - self.embed_t(teacher[-1]))
        return torch.mean((delta[:-1] * delta[1:]).sum(1))


class Gaussian(nn.Module):
    """VID's mean and variance of one map."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(np.log(np.exp(5.0 - 1e-5) - 1.0) * torch.ones(outputs))
        channels = (inputs, outputs, outputs)
        layers: list[nn.Module] = []
        for count in channels:
            layers += [nn.Conv2d(count, outputs, 1, bias=False), nn.ReLU()]
        self.regressor = nn.Sequential(*layers[:-1])

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Minus the mean log-likelihood."""
        student, teacher = of_one_size(student, teacher)
        mean = self.regressor(student)
        variance = (torch.log(1.0 + torch.exp(self.log_scale)) + 1e-5).view(1, -1, 1, 1)
        return torch.mean(0.5 * ((mean - teacher) ** 2 / variance + torch.log(variance)))


class VID(Benchmark):
    """Ahn et al. 2019."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        pairs = zip(levels(setup.student)[1:-1], levels(setup.teacher)[1:-1], strict=True)
        self.each = nn.ModuleList(Gaussian(own.shape[1], t.shape[1]) for own, t in pairs)

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the stages."""
        pairs = zip(self.each, student[1:-1], teacher[1:-1], strict=True)
        found: Tensor = sum(gaussian(own, other) for gaussian, own, other in pairs)
        return found


def distances(vectors: Tensor) -> Tensor:
    """(B, B) between all vectors (B, D), in units of the mean of those that are not 0."""
    squares = vectors.pow(2).sum(dim=1)
    product = vectors @ vectors.t()
    found = (squares.unsqueeze(1) + squares.unsqueeze(0) - 2 * product).clamp(min=1e-12).sqrt()
    found = found.clone()
    found[range(len(vectors)), range(len(vectors))] = 0
    return found / found[found > 0].mean()


def angles(vectors: Tensor) -> Tensor:
    """(B³,): cosines of all angles."""
    difference = normalize(vectors.unsqueeze(0) - vectors.unsqueeze(1), p=2, dim=2)
    return torch.bmm(difference, difference.transpose(1, 2)).view(-1)


class RKD(Benchmark):
    """Park et al. 2019."""

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Distances and angles of the pooled vectors."""
        own, other = student[-1].view(len(student[-1]), -1), teacher[-1].view(len(student[-1]), -1)
        with torch.no_grad():
            their_distances = distances(other)
        distance = smooth_l1_loss(distances(own), their_distances)
        with torch.no_grad():
            their_angles = angles(other)
        return 25 * distance + 50 * smooth_l1_loss(angles(own), their_angles)


class PKT(Benchmark):
    """Passalis & Tefas 2018."""

    beta = 30000.0

    @staticmethod
    def neighbours(vectors: Tensor) -> Tensor:
        """(B, B): probabilities in rows."""
        length = torch.sqrt(torch.sum(vectors**2, dim=1, keepdim=True))
        directions = vectors / (length + 1e-7)
        similarity = (torch.mm(directions, directions.transpose(0, 1)) + 1.0) / 2.0
        return similarity / torch.sum(similarity, dim=1, keepdim=True)

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Of the pooled vectors."""
        own, other = self.neighbours(student[-1]), self.neighbours(teacher[-1])
        return torch.mean(other * torch.log((other + 1e-7) / (own + 1e-7)))


class NST(Benchmark):
    """Huang & Wang 2017."""

    beta = 50.0

    @staticmethod
    def kernel(one: Tensor, other: Tensor) -> Tensor:
        """(B, C, C'): (xᵀy)², each two channels multiplied pixel by pixel."""
        return (one.unsqueeze(1) * other.unsqueeze(2)).sum(-1).pow(2)

    def distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Squared maximum mean discrepancy of the channels of two maps."""
        student, teacher = of_one_size(student, teacher)
        own = normalize(student.view(student.size(0), student.size(1), -1), dim=2)
        other = normalize(teacher.view(teacher.size(0), teacher.size(1), -1), dim=2)
        theirs = self.kernel(other, other).mean().detach()
        return theirs + self.kernel(own, own).mean() - 2 * self.kernel(own, other).mean()

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the stages."""
        pairs = zip(student[1:-1], teacher[1:-1], strict=True)
        return sum(self.distance(own, other) for own, other in pairs)


def encoder(channels: Sequence[int], norm: bool) -> nn.Sequential:
    """3x3 convolutions, maybe batch norm, LeakyReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(channels[:-1], channels[1:], strict=True):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        layers += [nn.BatchNorm2d(outputs)] if norm else []
        layers.append(nn.LeakyReLU(0.1, inplace=True))
    return nn.Sequential(*layers)


class Paraphraser(nn.Module):
    """FT's autoencoder of the teacher's last map, of which the encoder is left to run."""

    def __init__(self, channels: int, factors: int) -> None:
        super().__init__()
        self.encoder = encoder([channels, channels, factors, factors], norm=False)
        layers: list[nn.Module] = []
        steps = ((factors, factors), (factors, channels), (channels, channels))
        for inputs, outputs in steps:
            layers += [nn.ConvTranspose2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.1)]
        self.decoder = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """The factor."""
        found: Tensor = self.encoder(maps)
        return found


class FT(Benchmark):
    """Kim et al. 2018."""

    beta = 200.0

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        own, other = (levels(f)[-2].shape[1] for f in (setup.student, setup.teacher))
        factors = int(0.5 * other)
        self.translator = encoder([own, own, factors, factors], norm=True)
        self.teachers = Paraphraser(other, factors)

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Of the factors of the last maps."""
        other = self.teachers(teacher[-2])
        own, other = of_one_size(self.translator(student[-2]), other)
        return (energy(own) - energy(other)).abs().mean()


class ContrastImages(Images):
    """Images with their number, and the numbers of themselves and of images of other classes."""

    negatives = 16384

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(pixels, labels)
        self.others = {label: np.flatnonzero(labels != label) for label in np.unique(labels)}

    def __getitem__(self, index: int) -> tuple[Tensor | int | np.ndarray, ...]:
        image, label = super().__getitem__(index)
        others = self.others[label]
        again = self.negatives > len(others)
        drawn = np.random.choice(others, self.negatives, replace=again)
        return image, label, index, np.hstack((np.asarray([index]), drawn))


class Embed(nn.Module):
    """CRD's linear layer, and vectors of length 1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 128)

    def forward(self, pooled: Tensor) -> Tensor:
        """(B, 128)."""
        x: Tensor = self.linear(pooled)
        return x / x.pow(2).sum(1, keepdim=True).pow(0.5)


class CRD(Benchmark):
    """Tian et al. 2020: memory banks in two buffers, gathered for every batch."""

    dataset = ContrastImages
    beta = 0.8
    temperature, momentum = 0.07, 0.5

    bank_s: Tensor
    bank_t: Tensor
    partitions: Tensor

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.embed_s = Embed(setup.student.pooled.shape[1])
        self.embed_t = Embed(setup.teacher.pooled.shape[1])
        self.images = len(setup.labels)
        bound = 1 / (128 / 3) ** 0.5
        for name in ("bank_s", "bank_t"):
            rows = torch.rand(self.images, 128).mul_(2 * bound).add_(-bound)
            self.register_buffer(name, rows)
        self.register_buffer("partitions", torch.tensor([-1.0, -1.0]))

    def critic(self, embedded: Tensor, bank: Tensor, drawn: Tensor, which: int) -> Tensor:
        """(B, K + 1): exp(⟨embedding, memory⟩/τ) / Z."""
        count, width = embedded.shape
        rows = torch.index_select(bank, 0, drawn.view(-1)).detach().view(count, -1, width)
        product = torch.bmm(rows, embedded.view(count, width, 1)).squeeze(2)
        scores = torch.exp(torch.div(product, self.temperature))
        partition = self.partitions[which].item()
        if partition < 0:
            self.partitions[which] = scores.mean().detach() * self.images
            partition = self.partitions[which].item()
        return torch.div(scores, partition).contiguous()

    def contrast(self, scores: Tensor) -> Tensor:
        """-log h of the pair and of all negatives, a mean over the batch."""
        negatives = scores.size(1) - 1
        chance = negatives / self.images
        pair, others = scores.select(1, 0), scores.narrow(1, 1, negatives)
        log_pair = torch.div(pair, pair.add(chance + 1e-7)).log_()
        log_others = torch.div(others.clone().fill_(chance), others.add(chance + 1e-7)).log_()
        return -(log_pair.sum(0) + log_others.view(-1, 1).sum(0).squeeze()) / scores.size(0)

    @torch.no_grad()
    def follow(self, bank: Tensor, embedded: Tensor, index: Tensor) -> None:
        """Move the batch's rows."""
        rows = torch.index_select(bank, 0, index.view(-1))
        rows.mul_(self.momentum)
        rows.add_(torch.mul(embedded, 1 - self.momentum))
        length = rows.pow(2).sum(1, keepdim=True).pow(0.5)
        bank.index_copy_(0, index, rows.div(length))

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor:
        """Both directions; the banks follow."""
        index, drawn = more
        own, other = self.embed_s(student[-1]), self.embed_t(teacher[-1])
        scores = (
            self.critic(other, self.bank_s, drawn, 0),
            self.critic(own, self.bank_t, drawn, 1),
        )
        self.follow(self.bank_s, own, index)
        self.follow(self.bank_t, other, index)
        return self.contrast(scores[1]) + self.contrast(scores[0])


class FirstPhase(Benchmark):
    """What AB and FSP learn before the labels: their term alone, by the features."""

    def forward(
        self, student: Features, teacher: Features, target: Tensor, *more: Tensor
    ) -> Tensor:
        """The term."""
        own, other = levels(student, self.before_relu), levels(teacher, self.before_relu)
        found = self.compare(own, other)
        assert isinstance(found, Tensor)
        return found


class AB(FirstPhase):
    """Heo et al. 2019: on which side of 0 the neurons are."""

    before_relu = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        own, other = (levels(f, True)[1:-1] for f in (setup.student, setup.teacher))
        self.connectors = nn.ModuleList(
            nn.Sequential() if s.shape == t.shape else ConvReg(s, t, use_relu=False)
            for s, t in zip(own, other, strict=True)
        )

    @staticmethod
    def boundary(source: Tensor, target: Tensor, margin: float = 1.0) -> Tensor:
        """A sum over everything."""
        below = (source > -margin) & (target <= 0.0)
        above = (source <= margin) & (target > 0.0)
        loss = (source + margin) ** 2 * below.float() + (source - margin) ** 2 * above.float()
        return torch.abs(loss).sum()

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the stages, the deepest with weight 1, then halved."""
        count, total = len(self.connectors), student[0].size(0)
        triples = zip(self.connectors, student[1:-1], teacher[1:-1], strict=True)
        losses = [self.boundary(led(own), other) for led, own, other in triples]
        weighted = [2.0 ** (i - count + 1) * loss for i, loss in enumerate(losses)]
        return sum(loss / total / 1000 * 3 for loss in weighted)


class FSP(FirstPhase):
    """Yim et al. 2017: products of each two channels of consecutive maps."""

    @staticmethod
    def flows(maps: Maps) -> Maps:
        """(B, C', C) of each step, channels multiplied pixel by pixel."""
        found = []
        for shallow, deep in zip(maps[:-1], maps[1:], strict=True):
            shallow, deep = of_one_size(shallow, deep)
            shallow = shallow.unsqueeze(1).view(shallow.size(0), 1, shallow.size(1), -1)
            deep = deep.unsqueeze(2).view(deep.size(0), deep.size(1), 1, -1)
            found.append((shallow * deep).mean(-1))
        return found

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the steps."""
        pairs = zip(self.flows(student[:-1]), self.flows(teacher[:-1]), strict=True)
        return sum((own - other).pow(2).mean() for own, other in pairs)


# -- forks of RepDistiller and authors' own scripts ------------------------------------------------


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


class DIST(Criterion):
    """Huang et al. 2022."""

    tau, inter, intra = 4.0, 2.0, 2.0

    @staticmethod
    def apart(student: Tensor, teacher: Tensor) -> Tensor:
        """One minus Pearson's correlation of rows."""
        own = student - student.mean(1).unsqueeze(1)
        other = teacher - teacher.mean(1).unsqueeze(1)
        lengths = own.norm(dim=1) * other.norm(dim=1) + 1e-8
        return 1 - ((own * other).sum(1) / lengths).mean()

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels, rows and columns of the probabilities."""
        own = (student.logits / self.tau).softmax(dim=1)
        other = (teacher.logits / self.tau).softmax(dim=1)
        rows = self.tau**2 * self.apart(own, other)
        columns = self.tau**2 * self.apart(own.transpose(0, 1), other.transpose(0, 1))
        label = cross_entropy(student.logits, target)
        return label + self.inter * rows + self.intra * columns


class LinearNorm(nn.Module):
    """AFD's linear layer with batch norm, and ReLU where asked."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, use_relu: bool = False) -> Tensor:
        """(B, outputs)."""
        x = self.bn(self.linear(x))
        return torch.relu(x) if use_relu else x


class AFD(Criterion):
    """Ji et al. 2021: every block with every block."""

    width = 128

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        own, other = self.blocks(setup.student), self.blocks(setup.teacher)
        self.sizes = [tap.shape[2] for tap in other]
        self.p_s = nn.Parameter(torch.empty(len(own), self.width))
        self.p_t = nn.Parameter(torch.empty(len(other), self.width))
        nn.init.xavier_normal_(self.p_s)
        nn.init.xavier_normal_(self.p_t)
        self.keys = nn.ModuleList(LinearNorm(tap.shape[1], self.width) for tap in own)
        self.bilinear = LinearNorm(self.width, self.width * len(other))
        self.queries = nn.ModuleList(LinearNorm(tap.shape[1], self.width) for tap in other)

    @staticmethod
    def blocks(features: Features) -> Maps:
        """The map behind each block."""
        return [tap for name, tap in features.taps.items() if name.rpartition(".")[2].isdecimal()]

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels, KD, and the maps' energies as far as they get attention."""
        own, other = self.blocks(student), self.blocks(teacher)
        count = len(target)
        means = [tap.mean(3).mean(2) for tap in other]
        query = torch.stack([f(mean) for f, mean in zip(self.queries, means, strict=True)], dim=1)
        values = [normalize(tap.pow(2).mean(1).view(count, -1), dim=1) for tap in other]

        means = [tap.mean(3).mean(2) for tap in own]
        key = torch.stack(
            [f(mean, True) for f, mean in zip(self.keys, means, strict=True)], dim=1
        ).view(count * len(own), -1)
        bilinear = self.bilinear(key).view(count, len(own), len(other), -1)
        pooled = {
            size: normalize(
                torch.stack(
                    [
                        adaptive_avg_pool2d(tap.pow(2).mean(1, keepdim=True), (size, size)).view(
                            count, size * size
                        )
                        for tap in own
                    ],
                    dim=1,
                ),
                dim=2,
            )
            for size in sorted(set(self.sizes))
        }
        positions = torch.matmul(self.p_t, self.p_s.t())
        scores = torch.einsum("bstq,btq->bts", bilinear, query) + positions
        attention = softmax(scores / np.sqrt(self.width), dim=2)
        losses = []
        for number, (size, theirs) in enumerate(zip(self.sizes, values, strict=True)):
            difference = (pooled[size] - theirs.unsqueeze(1)).pow(2).mean(2)
            losses.append(torch.mul(difference, attention[:, number]).sum(1).mean())
        soft = soft_targets(student.logits, teacher.logits)
        return cross_entropy(student.logits, target) + 0.9 * soft + 200 * sum(losses)


class HSAKD(Criterion):
    """Yang et al. 2021: four rotations, a head on every stage."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert isinstance(setup.teacher_part, TeacherHeads)
        stages = setup.network.stages
        self.heads = RotationHeads(setup.network, setup.student, setup.classes, stages)
        self.teachers = deepcopy(setup.teacher_part.heads)

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each image is followed by itself, turned."""
        turned = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)], 1)
        loss, logits = super().run(student, teacher, turned.view(-1, *images.shape[1:]), target)
        return loss, logits[0::4]

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels of the upright images, KD of all, by the network and by every head."""
        own = self.heads(student)
        with torch.no_grad():
            other = self.teachers(teacher)
        loss = cross_entropy(student.logits[0::4], target)
        for head, theirs in zip(own, other, strict=True):
            loss = loss + soft_targets(head, theirs.detach(), 3.0)
        return loss + soft_targets(student.logits, teacher.logits, 3.0)


class TurnedImages(Images):
    """Each image four times, turned; cropped, and not flipped."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(pixels, labels)
        crop = transforms.RandomCrop(pixels.shape[1], padding=4)
        self.transform = transforms.Compose([crop, TO_TENSOR])

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = super().__getitem__(index)
        return torch.stack([torch.rot90(image, k, (1, 2)) for k in range(4)]), label


class SSKD(Criterion):
    """Xu et al. 2020: four rotations, cosines between turned and upright images."""

    dataset = TurnedImages
    wrong_kept = 0.75

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        self.head = self.projection(setup.student.pooled.shape[1])
        self.teachers = self.projection(setup.teacher.pooled.shape[1])

    @staticmethod
    def projection(width: int) -> nn.Sequential:
        """Two layers."""
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, width))

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loader has turned the images."""
        loss, logits = super().run(student, teacher, images.view(-1, *images.shape[2:]), target)
        return loss, logits[0::4]

    @staticmethod
    def similarity(embedded: Tensor, upright: Tensor) -> Tensor:
        """Cosines (3B, B), of vectors that are repeated for each other."""
        count = int(upright.sum())
        nor = embedded[upright].unsqueeze(2).expand(-1, -1, 3 * count).transpose(0, 2)
        aug = embedded[~upright].unsqueeze(2).expand(-1, -1, count)
        return cosine_similarity(aug, nor, dim=1)

    @staticmethod
    def kept(answers: Tensor, wanted: Tensor, share: float) -> Tensor:
        """Rows that the teacher gets right, and a share of the others, those it ranks best first."""
        order = torch.argsort(answers, dim=1, descending=True)
        rank = torch.argmax(torch.eq(order, wanted.unsqueeze(1)).long(), dim=1)
        index = torch.argsort(rank)
        wrong = torch.nonzero(rank, as_tuple=True)[0].numel()
        return torch.sort(index[: len(rank) - wrong + int(wrong * share)])[0]

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Four terms."""
        count = len(target)
        upright = torch.arange(4 * count, device=target.device) % 4 == 0
        answers = teacher.logits
        with torch.no_grad():
            theirs = self.similarity(self.teachers(teacher.pooled), upright)
        own = self.similarity(self.head(student.pooled), upright)

        wanted = target.unsqueeze(1).expand(-1, 3).contiguous().view(-1)
        all_turned = self.kept(softmax(answers[~upright] / 4, dim=1), wanted, 1.0)
        wanted = torch.arange(count, device=target.device).unsqueeze(1).expand(-1, 3)
        rows = self.kept(theirs, wanted.contiguous().view(-1), self.wrong_kept)

        label = cross_entropy(student.logits[upright], target)
        soft = soft_targets(student.logits[upright], answers[upright])
        turned = soft_targets(student.logits[~upright][all_turned], answers[~upright][all_turned])
        similar = soft_targets(own[rows], theirs[rows], 0.5)
        return 0.1 * label + 0.9 * soft + 2.7 * turned + 10 * similar


# -- mdistiller ------------------------------------------------------------------------------------


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


class Fusion(nn.Module):
    """ReviewKD's ABF."""

    def __init__(self, inputs: int, between: int, outputs: int, fuse: bool) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(inputs, between, 1, bias=False), nn.BatchNorm2d(between)
        )
        self.conv2 = nn.Sequential(
            nn.Conv2d(between, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        attention = [nn.Conv2d(2 * between, 2, 1), nn.Sigmoid()]
        self.attention = nn.Sequential(*attention) if fuse else None

    def forward(self, x: Tensor, deeper: Tensor | None, side: int) -> tuple[Tensor, Tensor]:
        """What learns the teacher's map, and what is handed on, both of the teacher's side."""
        n, _, h, w = x.shape
        x = self.conv1(x)
        if self.attention is not None and deeper is not None:
            deeper = interpolate(deeper, (h, w), mode="nearest")
            z = self.attention(torch.cat([x, deeper], dim=1))
            x = x * z[:, 0].view(n, 1, h, w) + deeper * z[:, 1].view(n, 1, h, w)
        if x.shape[-1] != side:
            x = interpolate(x, (side, side), mode="nearest")
        return self.conv2(x), x


class ReviewKD(Criterion):
    """Chen et al. 2021; ``epoch`` is counted from 1."""

    weight, warm_up, epoch = 5.0, 20, 1

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        assert setup.teacher is not None
        own, other = self.maps(setup.student), self.maps(setup.teacher)
        between = min(512, own[0].shape[1])
        self.fusions = nn.ModuleList(
            Fusion(s.shape[1], between, t.shape[1], fuse=bool(number))
            for number, (s, t) in enumerate(zip(own, other, strict=True))
        )

    @staticmethod
    def maps(features: Features, before_relu: bool = False) -> Maps:
        """Deep to shallow, the pooled vector as a map of one pixel first."""
        *stages, pooled = levels(features, before_relu)[1:]
        return [pooled.unsqueeze(-1).unsqueeze(-1), *stages[::-1]]

    @staticmethod
    def distance(student: Tensor, teacher: Tensor) -> Tensor:
        """HCL of one level."""
        loss, share, total = mse_loss(student, teacher), 1.0, 1.0
        for side in (4, 2, 1):
            if side >= student.shape[2]:
                continue
            own, other = (adaptive_avg_pool2d(x, (side, side)) for x in (student, teacher))
            share /= 2.0
            loss = loss + share * mse_loss(own, other)
            total += share
        return loss / total

    def forward(self, student: Features, teacher: Features, target: Tensor) -> Tensor:
        """Labels, and the sum over the levels as far as it is warmed up."""
        handed: Tensor | None = None
        loss = torch.zeros((), device=target.device)
        triples = zip(self.fusions, self.maps(student), self.maps(teacher, True), strict=True)
        for fusion, own, other in triples:
            led, handed = fusion(own, handed, other.shape[2])
            loss = loss + self.distance(led, other)
        warm = min(self.epoch / self.warm_up, 1.0)
        return cross_entropy(student.logits, target) + self.weight * warm * loss


def standardised(logits: Tensor) -> Tensor:
    """Sun et al. 2024: z-scores of rows."""
    return (logits - logits.mean(dim=-1, keepdims=True)) / (
        1e-7 + logits.std(dim=-1, keepdims=True)
    )


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


STRONG = {
    "AutoContrast": lambda image, share: ImageOps.autocontrast(image),
    "Brightness": lambda image, share: ImageEnhance.Brightness(image).enhance(0.05 + 0.9 * share),
    "Color": lambda image, share: ImageEnhance.Color(image).enhance(0.05 + 0.9 * share),
    "Contrast": lambda image, share: ImageEnhance.Contrast(image).enhance(0.05 + 0.9 * share),
    "Equalize": lambda image, share: ImageOps.equalize(image),
    "Identity": lambda image, share: image,
    "Posterize": lambda image, share: ImageOps.posterize(image, 4 + int(4 * share)),
    "Rotate": lambda image, share: image.rotate(60 * share - 30),
    "Sharpness": lambda image, share: ImageEnhance.Sharpness(image).enhance(0.05 + 0.9 * share),
    "ShearX": lambda image, share: moved(image, shear_x=0.6 * share - 0.3),
    "ShearY": lambda image, share: moved(image, shear_y=0.6 * share - 0.3),
    "Solarize": lambda image, share: ImageOps.solarize(image, int(256 * share)),
    "TranslateX": lambda image, share: moved(image, x=(0.6 * share - 0.3) * image.size[0]),
    "TranslateY": lambda image, share: moved(image, y=(0.6 * share - 0.3) * image.size[1]),
}
"""Operations of the strong view: of an image and where in its range the degree is, 0 to 1."""


def moved(
    image: Image.Image, shear_x: float = 0, shear_y: float = 0, x: float = 0, y: float = 0
) -> Image.Image:
    """Sheared and shifted."""
    matrix = (1, shear_x, x, shear_y, 1, y)
    return image.transform(image.size, Image.Transform.AFFINE, matrix)


def strong(image: Image.Image) -> Image.Image:
    """Two operations, then a grey square."""
    for operation in random.choices(list(STRONG.values()), k=2):
        image = operation(image, random.random())
    width, height = image.size
    x, y, side = random.uniform(0, width), random.uniform(0, height), width // 2
    left, top = max(0, int(x - side / 2)), max(0, int(y - side / 2))
    corner = (min(width, left + side), min(height, top + side))
    image = image.copy()
    ImageDraw.Draw(image).rectangle((left, top, *corner), (127, 127, 127))
    return image


class TwoViews(Images):
    """A weak and a strong view of each image."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(pixels, labels)
        crop, flip, to_tensor = self.transform.transforms
        self.strong = transforms.Compose([crop, flip, strong, to_tensor])

    def __getitem__(self, index: int) -> tuple[Tensor, int, Tensor]:
        image = Image.fromarray(self.pixels[index])
        return self.transform(image), int(self.labels[index]), self.strong(image)


class MLKD(Criterion):
    """Jin et al. 2023, as it is meant: masks that select, strong answers of the strong view."""

    dataset = TwoViews
    weight, temperatures = 0.9, (4.0, 2.0, 3.0, 5.0, 6.0)

    def run(
        self, student: nn.Module, teacher: nn.Module, images: Tensor, target: Tensor, *more: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Each network sees one view after the other."""
        own = [student(view).logits for view in (images, more[0])]
        with torch.no_grad():
            other = [teacher(view).logits for view in (images, more[0])]
        return self.loss(own, other, target), own[0]

    @staticmethod
    def less_sure(confidence: Tensor) -> Tensor:
        """Where it is not above its median, which NumPy finds."""
        return confidence.le(float(np.percentile(confidence.cpu().numpy().flatten(), 50)))

    @staticmethod
    def soft(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """T² KL of each image, (B,)."""
        log_p = log_softmax(student / temperature, dim=1)
        divergence = kl_div(log_p, softmax(teacher / temperature, dim=1), reduction="none")
        return divergence.sum(1) * temperature**2

    @staticmethod
    def relations(student: Tensor, teacher: Tensor) -> Tensor:
        """Squared differences of the rows' products, a sum for each row, over the rows."""
        own, other = torch.mm(student, student.t()), torch.mm(teacher, teacher.t())
        return ((other - own) ** 2 / len(student)).sum(1)

    def loss(self, own: Maps, other: Maps, target: Tensor) -> Tensor:
        """Labels, answers and relations, at five temperatures."""
        sure = softmax(other[0], dim=1)
        images, classes = self.less_sure(sure.max(dim=1)[0]), self.less_sure(sure.sum(dim=0))
        loss = 0.1 * (cross_entropy(own[0], target) + cross_entropy(own[1], target))
        for temperature in self.temperatures:
            p_s, p_t = (softmax(z / temperature, dim=1) for z in (own[0], other[0]))
            weak = (self.soft(own[0], other[0], temperature) * images).mean()
            strong_view = self.soft(own[1], other[1], temperature).mean()
            of_images = (self.relations(p_s, p_t) * images).sum()
            of_classes = (self.relations(p_s.t(), p_t.t()) * classes).sum()
            loss = loss + self.weight * (weak + strong_view + of_images + of_classes)
        return loss


CRITERIA: dict[str, type[Criterion]] = {
    "kd": KD,
    "fitnet": FitNet,
    "at": AT,
    "sp": SP,
    "cc": CC,
    "vid": VID,
    "rkd": RKD,
    "pkt": PKT,
    "ab": AB,
    "ft": FT,
    "fsp": FSP,
    "nst": NST,
    "crd": CRD,
    "sskd": SSKD,
    "hsakd": HSAKD,
    "afd": AFD,
    "dkd": DKD,
    "reviewkd": ReviewKD,
    "dist": DIST,
    "kd_ls": StandardisedKD,
    "dkd_ls": StandardisedDKD,
    "mlkd": MLKD,
    "wttm": WTTM,
}
"""Our name of a method → what its published script adds."""
