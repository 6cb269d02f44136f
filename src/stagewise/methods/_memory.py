"""What a method remembers of the training images, and images of other classes, on the device."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from stagewise.data.augment import NEGATIVES, uniform
from stagewise.models.features import Batch


class Negatives(nn.Module):
    """Draws, for each image of a batch, images of other classes, with replacement.

    Which ones is a function of (seed, step, image), whatever the batch holds. The training set's
    numbers are kept in the order of their labels, so an image's own class is one stretch to skip.
    """

    by_label: Tensor
    count: Tensor
    first: Tensor

    def __init__(self, labels: Tensor, classes: int, seed: int) -> None:
        """``labels``: of all training images, int64 (N,); none of the classes has all of them."""
        super().__init__()
        self.images, self.seed = len(labels), seed
        count = labels.bincount(minlength=classes)
        self.register_buffer("by_label", labels.argsort(stable=True), persistent=False)
        self.register_buffer("count", count, persistent=False)
        self.register_buffer("first", count.cumsum(0) - count, persistent=False)

    def forward(self, batch: Batch, number: int) -> Tensor:
        """(B, number) int64: each draw is any image of another class, all with equal chance."""
        count, first = self.count[batch.labels, None], self.first[batch.labels, None]
        share = uniform(NEGATIVES, self.seed, batch.step, batch.index, number)
        place = (share * (self.images - count)).long()
        return self.by_label[torch.where(place < first, place, place + count)]


class MemoryBank(nn.Module):
    """An embedding of length 1 of every training image, which follows what the network makes of it.

    Starts in U(±1/√(width/3)), as in the CRD benchmark, with torch's global generator.
    """

    rows: Tensor

    def __init__(self, images: int, width: int) -> None:
        super().__init__()
        bound = math.sqrt(3 / width)
        self.register_buffer("rows", torch.empty(images, width).uniform_(-bound, bound))

    def forward(self, embedding: Tensor, drawn: Tensor) -> Tensor:
        """Inner products (B, K) of embeddings (B, width) with the rows that ``drawn`` (B, K) names.

        All rows are multiplied with the whole batch, and then those of the pairs are taken: N·B
        numbers instead of B·K·width. A row that is drawn twice gets two equal gradients, so the
        order in which a GPU adds them changes no bit.
        """
        return (embedding @ self.rows.T).gather(1, drawn)

    def follow(self, index: Tensor, embedding: Tensor, momentum: float) -> None:
        """The rows of the images ``index`` (B,), none of them twice, as an average of what they
        were, with the share ``momentum``, and of ``embedding``."""
        moved = momentum * self.rows[index] + (1 - momentum) * embedding
        self.rows.index_copy_(0, index, normalize(moved))
