"""Methods that compare maps: FitNet, AT, SP, VID, NST, FT, AB, FSP, AFD, ReviewKD."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from published_loop import Criterion
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    cross_entropy,
    interpolate,
    mse_loss,
    normalize,
    softmax,
)

from published_losses.common import Benchmark, Maps, levels, of_one_size, soft_targets
from stagewise.methods.base import Setup
from stagewise.models.features import Features


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
    for inputs, outputs in pairwise(channels):
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
        for shallow, deep in pairwise(maps):
            shallow, deep = of_one_size(shallow, deep)
            shallow = shallow.unsqueeze(1).view(shallow.size(0), 1, shallow.size(1), -1)
            deep = deep.unsqueeze(2).view(deep.size(0), deep.size(1), 1, -1)
            found.append((shallow * deep).mean(-1))
        return found

    def compare(self, student: Maps, teacher: Maps, *more: Tensor) -> Tensor | float:
        """The sum over the steps."""
        pairs = zip(self.flows(student[:-1]), self.flows(teacher[:-1]), strict=True)
        return sum((own - other).pow(2).mean() for own, other in pairs)


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
