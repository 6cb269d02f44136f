"""Gradient shock: what a new classifier's first gradients do to pretrained features.

The paper names the effect but does not define it (abstract only); these are our definitions. On a
fixed probe - a draw of the run's training and validation images, at most 1,024 each, unaugmented -
a row holds, before a step: the gradient norm of the run's own loss with respect to the backbone
(``g_backbone``, and ``g_<part>``), each stage's linear CKA to step 0 (``cka_<stage>``), how well a
ridge classifier refitted on the pooled features does (``probe_accuracy``, percent), and
``validation_loss``. All of these are taken twice: by batch norm's running statistics, which lag
behind weights that move, and, with the suffix ``_batch``, by those of the probe itself.
``displacement`` is the backbone's distance from its start, relative to its norm; ``update`` how far
the step itself moves it, and ``update_relative`` the same over its norm before the step.

Step 0 is the first at which the backbone may move, and steps in which it may not are not counted,
in whichever phases they are. The probe only looks: it leaves gradients and statistics alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from stagewise.measure.features import linear_cka, ridge_accuracy
from stagewise.measure.probe import LIMIT, batch_statistics, probe_batch, with_gradients
from stagewise.models.features import Features
from stagewise.recipes.base import Phase
from stagewise.training.observer import Moment, Subject

FEATURE_STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
EARLY = 20
BATCH = "_batch"
"""Suffix of the columns for which batch norm took the probe's statistics, and not its own."""
PASSES = 2
"""Forward and backward passes of a look: one for each kind of statistics."""


def gradient_window(steps_per_epoch: int) -> range:
    """The late steps that early ones are compared with: the last 10 % of the first max(epoch, 100
    steps)."""
    horizon = max(steps_per_epoch, 100)
    return range(horizon - horizon // 10, horizon + 1)


def looks(step: int, total: int, per_epoch: int) -> tuple[bool, bool]:
    """Whether ``step`` of ``total`` is one to look at, and at features too."""
    features = step in FEATURE_STEPS or step % max(1, total // 10) == 0
    return features or step <= EARLY or step in gradient_window(per_epoch), features


class Clock:
    """Steps since the backbone first moved: a run's steps without those in which it stands still.

    A function of the run's own step alone, so a run that was killed goes on with the same.
    """

    def __init__(self, phases: Iterable[Phase], per_epoch: int, backbone: Sequence[str]) -> None:
        """``backbone``: the network's parts outside its classifiers."""
        self.moving: list[range] = []
        self.end = 0  # the run's steps
        for phase in phases:
            start, self.end = self.end, self.end + phase.epochs * per_epoch
            if phase.moves(backbone):
                self.moving.append(range(start, self.end))

    @property
    def total(self) -> int:
        """Steps in which the backbone may move."""
        return sum(map(len, self.moving))

    def at(self, step: int) -> int | None:
        """How many of them come before the run's ``step``; None where it is none of them."""
        if not any(step in steps for steps in self.moving):
            return None
        return sum(min(len(steps), max(0, step - steps.start)) for steps in self.moving)


def passes_in(phases: Iterable[Phase], per_epoch: int, backbone: Sequence[str]) -> int:
    """How often an observer takes the probe through the network and back, in a run of these phases:
    at every look, and at the end."""
    total = Clock(phases, per_epoch, backbone).total
    return PASSES * (1 + _looks_in(total, per_epoch))


@cache
def _looks_in(total: int, per_epoch: int) -> int:
    return sum(looks(step, total, per_epoch)[0] for step in range(total))


def images_of(train: int, validation: int) -> int:
    """Images of the probe, of so many in training and validation."""
    return min(LIMIT, train) + min(LIMIT, validation)


class Observer:
    """Observes one run, from the first step at which its backbone may move.

    ``rows`` is its table; ``start`` holds the backbone's first weights, ``first`` its stages'
    features at step 0. The loss of a method that knows training images by their number is that of
    the training images alone.
    """

    def __init__(self, subject: Subject) -> None:
        self.network, self.method = subject.network, subject.method
        self.weights, self.per_epoch = subject.weights, subject.steps_per_epoch
        self.clock = Clock(subject.phases, self.per_epoch, self.network.backbone_parts())
        self.batch, self.train_count = probe_batch(subject.data, subject.seed)
        known = replace(
            self.batch,
            **{
                name: getattr(self.batch, name)[: self.train_count]
                for name in ("images", "labels", "index", "view", "target")
            },
        )
        self.seen = self.method.views(known if subject.remembers else self.batch)
        self._still()
        with torch.no_grad():
            teacher = subject.teacher
            self.answer: Features | None = teacher(self.seen.images) if teacher else None
            # Step 0 fills these in: batch norm may be estimated anew before it.
            shapes = self._stages(self.network(self.batch.images[:2]))
        self.first = {
            f"{stage}{kind}": values.new_zeros(len(self.batch.labels), values.shape[1])
            for kind in ("", BATCH)
            for stage, values in shapes.items()
        }
        self.start = self._weights()
        self.before: dict[str, Tensor] = {}
        self.rows: list[dict[str, Any]] = []

    def _still(self) -> None:
        """Evaluation mode, and every stage runs."""
        self.network.eval()
        self.method.eval()
        self.network.run_to(None)

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the backbone as it is."""
        return {n: p.detach().clone() for n, p in self.network.backbone_parameters().items()}

    def _stages(self, features: Features) -> dict[str, Tensor]:
        """Stage → (n, C) spatial means."""
        taps = {stage: features.taps[stage] for stage in self.network.stages}
        return {stage: tap.detach().mean((2, 3)).cpu() for stage, tap in taps.items()}

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps: the backbone's and the features' start."""
        weights = {f"start.{name}": tensor for name, tensor in self.start.items()}
        return weights | {f"first.{name}": tensor for name, tensor in self.first.items()}

    def restore(self, tensors: dict[str, Tensor], rows: list[dict[str, Any]]) -> None:
        """Take up an earlier process's observation."""
        for name, tensor in self.start.items():
            # In its own memory layout: sums keep their order.
            tensor.copy_(tensors[f"start.{name}"])
        for name, tensor in self.first.items():
            tensor.copy_(tensors[f"first.{name}"])
        self.rows = rows

    def before_step(self, moment: Moment) -> None:
        """Add a row if this step is one to look at."""
        step = self.clock.at(moment.step)
        if step is None:
            return
        wanted, features = looks(step, self.clock.total, self.per_epoch)
        if wanted:
            self._add_row(step, moment, features)
            self.before = self._weights()

    def after_step(self, moment: Moment) -> None:
        """Add to the row how far the step moved the backbone."""
        if self.before:
            size, update = norm(self.before.values()), self._distance(self.before)
            self.rows[-1] |= {"update": update, "update_relative": update / size}
            self.before = {}

    def after_phase(self, phase: Phase, *, last: bool) -> None:
        """The last row: the trained network."""
        if last:
            self._add_row(self.clock.total, Moment(phase, self.clock.end, 0.0), features=True)

    def _add_row(self, step: int, moment: Moment, features: bool) -> None:
        moved = self._distance(self.start) / norm(self.start.values())
        row = {"step": step, "phase": moment.phase.name, "lr": moment.lr, "displacement": moved}
        self._still()
        row |= self._look(step, moment, features, "")
        with batch_statistics((self.network, self.method)):
            row |= self._look(step, moment, features, BATCH)
        self.rows.append(row)

    def _distance(self, weights: dict[str, Tensor]) -> float:
        """Of the backbone from these ``weights``."""
        now = self.network.backbone_parameters()
        return norm(now[name].detach() - there for name, there in weights.items())

    def _look(self, step: int, moment: Moment, features: bool, kind: str) -> dict[str, float]:
        """The columns of one ``kind`` of statistics, which batch norm uses right now."""
        backbone = self.network.backbone_parameters()
        with with_gradients(backbone.values()):
            answer: Features = self.network(self.batch.images)
            loss = self._loss(answer, moment)
            # A phase's loss may not reach all of the backbone: the gradient there is 0.
            taken = torch.autograd.grad(loss, [*backbone.values()], materialize_grads=True)
        gradients = dict(zip((id(p) for p in backbone.values()), taken, strict=True))
        row = {f"g_backbone{kind}": norm(taken)}
        for name, part in self.network.parts().items():
            own = [gradients[id(p)] for p in part.parameters() if id(p) in gradients]
            row |= {f"g_{name}{kind}": norm(own)} if own else {}
        return row | (self._quality(step, answer, kind) if features else {})

    def _loss(self, answer: Features, moment: Moment) -> Tensor:
        """The loss of the moment's phase, of the probe's images."""
        done = torch.full_like(self.seen.step, moment.step)
        seen = replace(self.seen, step=done, progress=done / self.per_epoch)
        student = answer if self.seen is self.batch else self.network(seen.images)
        weights = self.weights if moment.phase.weights is None else moment.phase.weights
        terms = self.method(student, self.answer, seen)
        return torch.stack([weights[n] * t for n, t in terms.items() if weights.get(n)]).sum()

    @torch.no_grad()
    def _quality(self, step: int, answer: Features, kind: str) -> dict[str, float]:
        """Of the features: how alike they are to those of step 0, and how good."""
        row: dict[str, float] = {}
        for stage, now in self._stages(answer).items():
            start = self.first[f"{stage}{kind}"]
            if step == 0:
                start.copy_(now)
            row[f"cka_{stage}{kind}"] = linear_cka(start, now)
        labels, pooled, count = self.batch.labels.cpu(), answer.pooled.cpu(), self.train_count
        row[f"probe_accuracy{kind}"] = ridge_accuracy(
            pooled[:count], labels[:count], pooled[count:], labels[count:]
        )
        logits = answer.answer.cpu()
        row[f"validation_loss{kind}"] = cross_entropy(logits[count:], labels[count:]).item()
        return row


def norm(tensors: Iterable[Tensor]) -> float:
    """Euclidean norm of all values of some tensors, summed in float64."""
    parts = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors]
    return float(torch.linalg.vector_norm(torch.stack(parts)))
