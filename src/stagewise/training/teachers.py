"""A frozen teacher's answers to training batches: computed anew, or from a table of views.

Under crop and flip an image has finitely many views, and a frozen teacher answers each the same
way. The table computes an answer once and is exact: rows are computed in fixed blocks of 64 (short
ones padded), because float32 results differ in the last bits with the batch size, so the order in
which views are met never changes an answer.
"""

from collections.abc import Collection
from typing import Protocol

import torch
from torch import Tensor

from stagewise.data.batches import TrainingBatches
from stagewise.models.features import Batch, Features, Network

BLOCK = 64
TABLE_BYTES = 2**28
"""Most memory that a table may take."""


class Teacher(Protocol):
    """What the trainer asks for a batch's teacher features."""

    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's images, without gradients."""
        ...


class LiveTeacher:
    """Runs the network on every batch; for methods that need its feature maps."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's images."""
        features: Features = self.network(batch.images)
        return features


class TeacherTable:
    """Logits, exits and pooled vectors of every view met so far; the taps are left out."""

    def __init__(self, network: Network, batches: TrainingBatches) -> None:
        self.network, self.batches = network, batches
        rows = len(batches.data.train.labels) * batches.views
        self.filled = torch.zeros(rows, dtype=torch.bool, device=batches.data.train.labels.device)
        self.columns: list[Tensor] = []

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's views, with no taps."""
        rows = batch.index * self.batches.views + batch.view
        missing = rows[~self.filled[rows]]
        for start in range(0, len(missing), BLOCK):
            self._fill(missing[start : start + BLOCK])
        logits, pooled, *exits = (column[rows] for column in self.columns)
        return Features(logits, {}, pooled, tuple(exits))

    def _fill(self, wanted: Tensor) -> None:
        self.filled[wanted] = True
        others = (~self.filled).nonzero().flatten()[: BLOCK - len(wanted)]
        rows = torch.cat([wanted, others])
        padded = rows[torch.arange(BLOCK, device=rows.device) % len(rows)]
        index, view = padded // self.batches.views, padded % self.batches.views
        features: Features = self.network(self.batches.images(index, view))
        values = (features.logits, features.pooled, *features.exits)
        if not self.columns:
            size = (len(self.filled),)
            self.columns = [value.new_empty(size + value.shape[1:]) for value in values]
        for column, value in zip(self.columns, values, strict=True):
            column[rows] = value[: len(rows)]
        self.filled[rows] = True


def teacher_for(network: Network, batches: TrainingBatches, needs: Collection[str]) -> Teacher:
    """A table where it takes at most ``TABLE_BYTES``, else the network itself.

    ``needs`` are the method's: with ``teacher_taps`` the network answers, for a table has no taps.
    """
    rows = len(batches.data.train.labels) * batches.views
    width = sum(layer.in_features + layer.out_features for layer in network.classifiers())
    if "teacher_taps" not in needs and 4 * rows * width <= TABLE_BYTES:
        return TeacherTable(network, batches)
    return LiveTeacher(network)
