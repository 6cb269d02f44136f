"""A frozen teacher's answers to training batches: computed anew, or from a table of views.

Under crop and flip an image has finitely many views, and a frozen teacher answers each the same
way: so its answers can be kept, for every method, seed and job that asks again. Answers are
computed in fixed blocks of 64 (short ones padded), because float32 results differ in the last bits
with the batch size: a block's other rows never change a row, so neither the order in which views
are met nor what a table already holds ever changes a result.
"""

import random
from contextlib import nullcontext
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from stagewise.data.batches import TrainingBatches
from stagewise.declarations import Needs
from stagewise.files import canonical_json, sha256_text
from stagewise.models.features import Batch, Features, Network
from stagewise.training.precision import Precision
from stagewise.training.table import Numbers, Rows, Table, TableFolder

BLOCK = 64
FLOAT32 = nullcontext()


class Teacher(Protocol):
    """What the trainer asks for a batch's teacher features."""

    def prepare(self, index: Tensor, view: Tensor) -> None:
        """Make ready for an epoch that will show these views of these images (N,)."""
        ...

    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's images, without gradients."""
        ...


class LiveTeacher:
    """Runs the network on every batch; for methods that need its feature maps."""

    def __init__(self, network: Network, precision: Precision = FLOAT32) -> None:
        self.network, self.precision = network, precision

    def prepare(self, index: Tensor, view: Tensor) -> None:
        """Nothing to do."""

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's images."""
        with self.precision:
            features: Features = self.network(batch.images)
        return features.float()


class TableTeacher:
    """Answers an epoch's views in blocks, from ``table`` where it has them; without taps, and
    without pooled vectors unless ``pooled``.

    ``answers`` holds the epoch's ``outputs``: (N, width) each, by image number, on the data's
    device, always in the same memory, so that a step reads nothing from the host.
    """

    def __init__(
        self,
        network: Network,
        batches: TrainingBatches,
        precision: Precision = FLOAT32,
        table: Table | None = None,
        pooled: bool = False,
    ) -> None:
        self.network, self.batches, self.precision = network, batches, precision
        self.table, self.pooled = table, pooled
        labels = batches.data.train.labels
        self.answers = [
            torch.zeros(len(labels), width, device=labels.device)
            for width in widths(network, pooled)
        ]
        if table:
            self._check(table)

    def prepare(self, index: Tensor, view: Tensor) -> None:
        """Fill ``answers`` with those to the given views."""
        rows = (index * self.batches.views + view).cpu().numpy()
        if self.table:
            known, values = self.table.read(rows)
            missing = np.flatnonzero(~known)
            for part, computed in zip(values, self._compute(rows[missing]), strict=True):
                part[missing] = computed
            self.table.write(rows[missing], [part[missing] for part in values])
        else:
            values = self._compute(rows)
        for answer, part in zip(self.answers, values, strict=True):
            answer[index] = torch.from_numpy(part).to(answer.device)

    def __call__(self, batch: Batch) -> Features:
        """Features of the batch's views."""
        logits, *rest = (answer[batch.index] for answer in self.answers)
        pooled = rest.pop() if self.pooled else logits[:, :0]
        return Features(logits, {}, pooled, tuple(rest))

    @torch.no_grad()
    def _compute(self, rows: Numbers) -> list[Rows]:
        """Answers to views by row number, each computed in a block of ``BLOCK``."""
        device = self.answers[0].device
        parts: list[list[Tensor]] = [[] for _ in self.answers]
        for start in range(0, len(rows), BLOCK):
            wanted = rows[start : start + BLOCK]
            block = torch.from_numpy(np.resize(wanted, BLOCK)).to(device)
            index, view = block // self.batches.views, block % self.batches.views
            with self.precision:
                features: Features = self.network(self.batches.images(index, view))
            for part, answer in zip(parts, outputs(features.float(), self.pooled), strict=True):
                part.append(answer[: len(wanted)])
        return [
            torch.cat(part).cpu().numpy() if part else np.empty((0, answer.shape[1]), np.float32)
            for part, answer in zip(parts, self.answers, strict=True)
        ]

    def _check(self, table: Table) -> None:
        """Compute a few of the table's rows again; forget all of them where one differs by a bit:
        another machine or library wrote them."""
        filled = table.filled()
        sample = filled[random.sample(range(len(filled)), min(BLOCK, len(filled)))]
        known, values = table.read(sample)
        again = self._compute(sample)
        if not all(np.array_equal(a[known], b[known]) for a, b in zip(values, again, strict=True)):
            print("teacher table: differs from this teacher's answers; starting anew", flush=True)
            table.clear()


def outputs(features: Features, pooled: bool) -> tuple[Tensor, ...]:
    """What a table keeps of a network's features: logits, exits if any, and pooled vectors if asked
    for."""
    answers = (features.logits, *features.exits)
    return (*answers, features.pooled) if pooled else answers


def widths(network: Network, pooled: bool = False) -> list[int]:
    """Values in each of a network's ``outputs``: its classes, once more for each exit, and its
    pooled channels."""
    layers = network.classifiers()
    heads = [layer.out_features for layer in layers]
    answers = heads if len(heads) == 1 else [heads[-1], *heads]
    return [*answers, layers[-1].in_features] if pooled else answers


def table_key(checksums: dict[str, str], batches: TrainingBatches, *more: object) -> str:
    """Name of a table: everything that its rows depend on, except what ``more`` has to add."""
    data = batches.data
    machine = [torch.__version__, torch.backends.cpu.get_cpu_capability()]
    state = [torch.get_num_threads(), str(data.train.labels.device), BLOCK]
    rows = [len(data.train.labels), batches.crop, batches.flip, data.classes]
    return sha256_text(canonical_json([checksums, machine, state, rows, more]))[:16]


def answers_live(needs: Needs, bounded: bool) -> bool:
    """Whether the teacher has to answer every batch anew: the method asks for more than a table
    holds, or views have no end."""
    return needs.live_teacher or not bounded


def teacher_for(
    network: Network,
    batches: TrainingBatches,
    needs: Needs,
    precision: Precision = FLOAT32,
    tables: TableFolder | None = None,
    key: str = "",
) -> Teacher:
    """The network itself where the method needs its taps or views have no end, else its answers
    in blocks.

    ``tables`` keeps them under ``key``; where there is no room they are computed every time, and
    the same.
    """
    if answers_live(needs, batches.bounded):
        return LiveTeacher(network, precision)
    rows = len(batches.data.train.labels) * batches.views
    pooled = needs.teacher_pooled
    name = f"{key}-pooled" if pooled else key
    table = tables.open(name, rows, widths(network, pooled)) if tables else None
    return TableTeacher(network, batches, precision, table, pooled)
