"""Images of other classes, drawn on the device."""

import torch
from torch import Tensor, nn

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
