"""One step of training: eager, or on a GPU replayed as one captured graph.

Neither reads anything from the device: what an epoch reports is summed there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from stagewise.data.batches import TrainingBatches
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Batch, Features
from stagewise.recipes.base import Hook
from stagewise.training.sgd import SGD

CAPTURING = Lock()
"""CUDA captures one graph at a time; runs that share a process take turns."""


class Pass(NamedTuple):
    """A forward pass: features of student and teacher of the ``batch`` that the method made, and
    the loss ``terms``."""

    student: Features
    teacher: Features | None
    batch: Batch
    terms: dict[str, Tensor]


Passes = Callable[[Batch], Iterable[Pass]]
"""A pass for each update of a step; the next one is made when the one before has moved the
weights."""


class Step:
    """Forward pass, losses, gradients, the method's memory, update; without an optimiser only the
    forward pass. A phase may have several updates of one batch: they add up to its losses.

    ``weights`` say what the loss terms add up to; a term without a weight has no gradient. ``hook``
    is what a phase does to the gradients.
    """

    def __init__(
        self,
        passes: Passes,
        method: DistillationMethod,
        weights: Mapping[str, float],
        batches: TrainingBatches,
        optimiser: SGD | None,
        hook: Hook | None = None,
    ) -> None:
        self.passes, self.method, self.weights = passes, method, weights
        self.batches, self.optimiser, self.hook = batches, optimiser, hook
        device = batches.data.train.labels.device
        self.done = torch.zeros((), dtype=torch.int64, device=device)
        self.names: list[str] = []
        self.sums: Tensor | None = None
        self.count = 0
        self.updates = 1  # of a batch

    def __call__(self, index: Tensor, view: Tensor, lr: float, done: int) -> None:
        """Train on the given views of the given images, (B,) each, as the run's step ``done``."""
        self.count += len(index)
        self.done.fill_(done)
        self._run(index, view, lr)

    def _run(self, index: Tensor, view: Tensor, lr: float | Tensor) -> None:
        batch = self.batches.batch(index, view)
        batch = replace(batch, step=self.done, progress=self.done / len(self.batches))
        with torch.set_grad_enabled(self.optimiser is not None):
            for number, each in enumerate(self.passes(batch), 1):
                self._update(batch, each, lr)
                self.updates = number

    def _update(self, batch: Batch, each: Pass, lr: float | Tensor) -> None:
        student, teacher, seen, terms = each
        weighted = [self.weights[n] * t for n, t in terms.items() if self.weights.get(n)]
        total = torch.stack(weighted).sum()
        if self.optimiser:
            total.backward()
            with torch.no_grad():
                self.method.remember(student, teacher, seen)
                if self.hook:
                    self.hook()
            self.optimiser.step(lr)
        answer = student.answer[: len(batch.labels)]  # of the batch itself, before any more views
        right = (answer.argmax(1) == batch.labels).float().mean()
        sums = torch.stack([total, right, *terms.values()]).detach() * len(batch.labels)
        if self.sums is None:
            self.names = list(terms)
            self.sums = torch.zeros_like(sums)
        self.sums += sums

    def means(self) -> dict[str, float]:
        """Mean loss, accuracy (percent) and terms since the last call; waits for the device."""
        assert self.sums is not None
        loss, right, *terms = (self.sums / self.count).tolist()
        self.sums.zero_()
        self.count = 0
        named = dict(zip(self.names, terms, strict=True))
        return {"train_loss": loss, "train_accuracy": 100 * right / self.updates, **named}


class GraphedStep(Step):
    """The same on a GPU, where a small network's kernels are shorter than their launches: after a
    few eager steps the whole step is captured, and then replayed by one launch.

    Batches of another size than the captured one run eagerly. Everything that a step touches keeps
    its place in memory: weights, velocities, sums, and a table teacher's answers.
    """

    EAGER_STEPS = 3  # libraries choose kernels and take memory in their first steps

    def __init__(
        self,
        passes: Passes,
        method: DistillationMethod,
        weights: Mapping[str, float],
        batches: TrainingBatches,
        optimiser: SGD,
        hook: Hook | None = None,
    ) -> None:
        super().__init__(passes, method, weights, batches, optimiser, hook)
        device = batches.data.train.labels.device
        self.index = torch.zeros(batches.batch_size, dtype=torch.int64, device=device)
        self.view = torch.zeros_like(self.index)
        self.lr = torch.zeros((), device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager_left = self.EAGER_STEPS

    def __call__(self, index: Tensor, view: Tensor, lr: float, done: int) -> None:
        """Train on the given views of the given images, (B,) each, as the run's step ``done``."""
        self.lr.fill_(lr)
        self.done.fill_(done)
        self.count += len(index)
        if len(index) != len(self.index) or self.eager_left:
            self.eager_left = max(0, self.eager_left - 1)
            with CAPTURING:  # libraries may wait for the device when they are first used
                self._run(index, view, self.lr)
            return
        self.index.copy_(index)
        self.view.copy_(view)
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            capture = torch.cuda.graph(
                self.graph,
                stream=torch.cuda.current_stream(),
                capture_error_mode="thread_local",  # other threads go on with their runs
            )
            with CAPTURING, capture:
                self._run(self.index, self.view, self.lr)
        self.graph.replay()


def make_step(
    passes: Passes,
    method: DistillationMethod,
    weights: Mapping[str, float],
    batches: TrainingBatches,
    optimiser: SGD | None,
    hook: Hook | None = None,
) -> Step:
    """A graph on a GPU, where weights move; else eager."""
    if optimiser and batches.data.train.labels.is_cuda:
        return GraphedStep(passes, method, weights, batches, optimiser, hook)
    return Step(passes, method, weights, batches, optimiser, hook)
