"""Gradient shock: what a new classifier's first gradients do to pretrained features.

The paper names the effect but does not define it (abstract only); these are our definitions. On a
fixed probe - the run's training and validation images, at most 1,024 each, unaugmented, batch norm
in evaluation mode - a row holds, before a step: the gradient norm of the run's own loss with
respect to the backbone (and to each part), the backbone's relative displacement, each stage's
linear CKA to the start, and how well a ridge classifier refitted on the pooled features does. Step
0 is the first at which the backbone may move. The probe only looks: it leaves gradients and
statistics alone.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from stagewise.data.batches import Split
from stagewise.models.features import Batch, Features
from stagewise.recipes.base import Phase
from stagewise.training.observer import Moment, Subject

FEATURE_STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
EARLY = 20
LIMIT = 1024


def gradient_window(steps_per_epoch: int) -> range:
    """The late steps that SR compares with: the last 10 % of the first max(epoch, 100 steps)."""
    horizon = max(steps_per_epoch, 100)
    return range(horizon - horizon // 10, horizon + 1)


def looks(step: int, total: int, per_epoch: int) -> tuple[bool, bool]:
    """Whether ``step`` of a phase of ``total`` steps is one to look at, and at features too."""
    features = step in FEATURE_STEPS or step % max(1, total // 10) == 0
    return features or step <= EARLY or step in gradient_window(per_epoch), features


def looks_in(phase: Phase, per_epoch: int) -> int:
    """Rows that an observer adds in a phase of ``per_epoch`` steps an epoch."""
    if phase.trains is not None:
        return 0
    steps = phase.epochs * per_epoch
    return 1 + sum(looks(step, steps, per_epoch)[0] for step in range(steps))


def images_of(train: int, validation: int) -> int:
    """Images of the probe, of so many in training and validation."""
    return min(LIMIT, train) + min(LIMIT, validation)


def linear_cka(start: Tensor, now: Tensor) -> float:
    """Linear CKA of two feature matrices (n, C), columns centred: 1 for the same up to rotation.

    Kornblith et al. 2019 (arXiv 1905.00414), in its feature form.
    """
    start, now = start - start.mean(0), now - now.mean(0)
    cross = (start.T @ now).square().sum()
    return float(cross / ((start.T @ start).norm() * (now.T @ now).norm()))


def ridge_accuracy(features: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Percent right of a ridge classifier fitted on (n, C) features; the penalty is 1e-3 of their
    mean square."""
    mean, scale = features.mean(0), features.std() + 1e-12
    design = torch.cat([(features - mean) / scale, torch.ones(len(features), 1)], 1).double()
    check = torch.cat([(test - mean) / scale, torch.ones(len(test), 1)], 1).double()
    gram = design.T @ design
    penalty = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    target = one_hot(labels).double()
    answer = check @ torch.linalg.solve(gram + penalty, design.T @ target)
    return 100 * float((answer.argmax(1) == test_labels).double().mean())


class Observer:
    """Observes one run, in the phases that train all of it.

    ``rows`` is its table; ``start`` holds the backbone's first weights. The loss of a method that
    knows training images by their number is that of the training images alone.
    """

    def __init__(self, subject: Subject) -> None:
        self.network, self.method = subject.network, subject.method
        self.weights, data = subject.weights, subject.data
        train, validation = data.train, data.validation
        self.train_count = min(LIMIT, len(train.labels))
        images = torch.cat([train.images[:LIMIT], validation.images[:LIMIT]])
        labels = torch.cat([train.labels[:LIMIT], validation.labels[:LIMIT]])
        probe = Split(images, labels)
        numbers = torch.arange(len(labels), device=labels.device)
        index = torch.where(numbers < self.train_count, numbers, -1)
        self.batch = Batch(
            data.normalise(probe.images), labels, index, torch.zeros_like(index), labels
        )
        known = replace(
            self.batch,
            **{
                name: getattr(self.batch, name)[: self.train_count]
                for name in ("images", "labels", "index", "view", "target")
            },
        )
        self.seen = self.method.views(known if subject.remembers else self.batch)
        with torch.no_grad():
            teacher = subject.teacher
            self.answer: Features | None = teacher(self.seen.images) if teacher else None
            self.network.eval()
            self.first = self._features(self.network(self.batch.images))
        self.start = {name: p.detach().clone() for name, p in self._backbone().items()}
        self.rows: list[dict[str, Any]] = []

    def _backbone(self) -> dict[str, Tensor]:
        """Parameters outside every classifier."""
        heads = {id(p) for layer in self.network.classifiers() for p in layer.parameters()}
        return {n: p for n, p in self.network.named_parameters() if id(p) not in heads}

    def _features(self, features: Features) -> dict[str, Tensor]:
        """Stage → (n, C) spatial means, and ``pooled``."""
        taps = {stage: features.taps[stage].mean((2, 3)).cpu() for stage in self.network.stages}
        return {**taps, "pooled": features.pooled.cpu()}

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps: the backbone's and the features' start."""
        weights = {f"start.{name}": tensor for name, tensor in self.start.items()}
        return weights | {f"first.{name}": tensor for name, tensor in self.first.items()}

    def restore(self, tensors: dict[str, Tensor], rows: list[dict[str, Any]]) -> None:
        """Take up an earlier process's observation."""
        for name, tensor in self.start.items():
            tensor.copy_(
                tensors[f"start.{name}"]
            )  # in its own memory layout: sums keep their order
        for name, tensor in self.first.items():
            tensor.copy_(tensors[f"first.{name}"])
        self.rows = rows

    def before_step(self, moment: Moment) -> None:
        """Add a row if this step is one to look at."""
        if moment.phase.trains is None:
            wanted, features = looks(moment.step, moment.steps, moment.per_epoch)
            if wanted:
                at = {"step": moment.step, "phase": moment.phase.name, "lr": moment.lr}
                self.rows.append({**at, **self._look(features)})

    def after_phase(self, phase: Phase, *, last: bool) -> None:
        """The last row: the trained network."""
        if last:
            step = self.rows[-1]["step"] + 1 if self.rows else 0
            self.rows.append({"step": step, "phase": phase.name, "lr": 0.0, **self._look(True)})

    def _look(self, with_features: bool) -> dict[str, float]:
        self.network.eval()
        backbone = self._backbone()
        features: Features = self.network(self.batch.images)
        seen = features if self.seen is self.batch else self.network(self.seen.images)
        terms = self.method(seen, self.answer, self.seen)
        weighted = [self.weights[n] * t for n, t in terms.items() if self.weights[n]]
        loss = torch.stack(weighted).sum()
        gradients = torch.autograd.grad(loss, list(backbone.values()))
        squares = {
            name: gradient.double().square().sum().item()
            for name, gradient in zip(backbone, gradients, strict=True)
        }
        with torch.no_grad():
            moved = sum((p - self.start[n]).square().sum().item() for n, p in backbone.items())
            size = sum(p.square().sum().item() for p in self.start.values())
        row = {"g_backbone": sum(squares.values()) ** 0.5, "displacement": (moved / size) ** 0.5}
        names = {id(p): name for name, p in backbone.items()}
        for part, module in self.network.parts().items():
            own = [squares[names[id(p)]] for p in module.parameters() if id(p) in names]
            row |= {f"g_{part}": sum(own) ** 0.5} if own else {}
        return row | (self._quality(features) if with_features else {})

    @torch.no_grad()
    def _quality(self, features: Features) -> dict[str, float]:
        now = self._features(features)
        labels, count = self.batch.labels.cpu(), self.train_count
        row = {f"cka_{s}": linear_cka(self.first[s], now[s]) for s in self.network.stages}
        pooled = now["pooled"]
        row["probe_accuracy"] = ridge_accuracy(
            pooled[:count], labels[:count], pooled[count:], labels[count:]
        )
        row["validation_loss"] = cross_entropy(features.answer.cpu()[count:], labels[count:]).item()
        return row
