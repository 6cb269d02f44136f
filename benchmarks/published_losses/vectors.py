"""Methods that compare pooled vectors: CC, RKD, PKT, CRD."""

import numpy as np
import torch
from published_loop import Images
from torch import Tensor, nn
from torch.nn.functional import normalize, smooth_l1_loss

from published_losses.common import Benchmark, Maps
from stagewise.methods.base import Setup


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
