"""The one training loop: a network, a list of phases, and maybe a teacher."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.errors import UserError
from stagewise.evaluation.shock import ShockProbe
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Batch, Features, Network
from stagewise.recipes.base import Phase
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.progress import Progress
from stagewise.training.schedules import SCHEDULES
from stagewise.training.sgd import SGD
from stagewise.training.teachers import Teacher

Row = dict[str, Any]
SAVE_SECONDS = 1.0
"""Least training time between checkpoints: a small set's epoch can be shorter than a write."""


class OutOfTime(Exception):
    """The time budget is spent; everything is saved, and the same command goes on."""


@dataclass
class Position:
    """Where training stands: epochs done in the current phase and in the whole run."""

    phase: int = 0
    epoch_in_phase: int = 0
    epoch: int = 0


@torch.no_grad()
def predict(network: Network, data: TaskData, split: Split, batch_size: int = 256) -> Tensor:
    """Logits (exits, N, classes) of a split in evaluation mode; one exit counts as one."""
    network.eval()
    parts = []
    for images in split.images.split(batch_size):
        features = network(data.normalise(images))
        parts.append(torch.stack(features.exits or (features.logits,)))
    return torch.cat(parts, dim=1)


class Trainer:
    """Trains ``network`` in place.

    ``weights``: loss term → weight; the total is their weighted sum. ``teacher``: what answers for
    a batch (a ``LiveTeacher`` or a ``TeacherTable``), or None. ``settings``: the spec's
    ``training`` block. ``budget``: seconds after which training stops at the next epoch's end.
    """

    def __init__(
        self,
        network: Network,
        method: DistillationMethod,
        weights: dict[str, float],
        teacher: Teacher | None,
        batches: TrainingBatches,
        phases: Sequence[Phase],
        settings: dict[str, Any],
        *,
        checkpoint: Checkpoint,
        progress: Progress,
        probe: ShockProbe | None = None,
        budget: float | None = None,
    ) -> None:
        self.network, self.method, self.weights = network, method, weights
        self.teacher, self.settings = teacher, settings
        self.batches, self.data = batches, batches.data
        self.phases = [phase for phase in phases if phase.epochs]
        self.schedule: Callable[[float], float] = SCHEDULES[settings["schedule"]]
        self.checkpoint, self.progress, self.probe = checkpoint, progress, probe
        self.deadline = time.monotonic() + budget if budget else None
        self.history: list[Row] = []
        self.at = Position()
        self._saved = time.monotonic()

    def run(self) -> list[Row]:
        """Train from the last checkpoint, if any, to the end; returns the history, a row an epoch.

        Raises:
            UserError: the loss is not finite, or a two-image trial shows that the parts do not fit.
            OutOfTime: the budget ended; the checkpoint holds everything.
        """
        self._dry_run()
        saved = self.checkpoint.load()
        if saved:
            self._restore(*saved)
            self.progress.resume(self.at.epoch)
        while self.at.phase < len(self.phases):
            self._phase(self.phases[self.at.phase])
            self.at.phase += 1
            self.at.epoch_in_phase = 0
        return self.history

    # -- one phase ---------------------------------------------------------------------------

    def _phase(self, phase: Phase) -> None:
        if self.at.epoch_in_phase == 0:
            self._new_optimiser(phase)
            if phase.reestimate_batch_norm:
                for norm in self._batch_norms():
                    norm.reset_running_stats()
        self._set_modes(phase)
        while self.at.epoch_in_phase < phase.epochs:
            row = self._epoch(phase)
            self.at.epoch_in_phase += 1
            self.at.epoch += 1
            last = self.at.epoch == sum(p.epochs for p in self.phases)
            self._validate(row, due=last or self.at.epoch % self.settings["evaluate_every"] == 0)
            self._set_modes(phase)
            self.history.append(row)
            self.progress.epoch(row)
            if last and self.probe:
                self.probe.finish(phase.name)
            out_of_time = self.deadline is not None and time.monotonic() > self.deadline
            if last or out_of_time or time.monotonic() - self._saved > SAVE_SECONDS:
                self._save()
            if out_of_time and not last:
                raise OutOfTime

    def _new_optimiser(self, phase: Phase) -> None:
        """An optimiser over what this phase trains."""
        moving = self._moving(phase)
        for name, part in self.network.parts().items():
            part.requires_grad_(name in moving)
        self.optimiser = SGD(
            [*self.network.parameters(), *self.method.parameters()],
            momentum=self.settings["momentum"],
            weight_decay=self.settings["weight_decay"],
        )

    def _moving(self, phase: Phase) -> frozenset[str]:
        """Names of the parts that a phase trains."""
        parts = self.network.parts()
        if phase.reestimate_batch_norm:
            return frozenset()
        unknown = set(phase.trains or ()) - parts.keys()
        if unknown:
            raise UserError(
                f"phase '{phase.name}' trains {sorted(unknown)}, which the network lacks;"
                f" it has {sorted(parts)}"
            )
        return frozenset(parts if phase.trains is None else phase.trains)

    def _set_modes(self, phase: Phase) -> None:
        """Training mode for the parts that move, evaluation mode for all others."""
        moving = self._moving(phase)
        for name, part in self.network.parts().items():
            part.train(phase.reestimate_batch_norm or name in moving)
        self.method.train()
        for norm in self._batch_norms():
            norm.momentum = None if phase.reestimate_batch_norm else 0.1

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]

    def _epoch(self, phase: Phase) -> Row:
        """One pass over the training images; nothing is read from the device before its end."""
        moves_backbone = phase.trains is None
        steps = len(self.batches)
        sums: Tensor | None = None
        count = 0
        names: list[str] = []
        for number, batch in enumerate(self.batches.epoch(self.at.epoch)):
            done = self.at.epoch_in_phase * steps + number
            lr = phase.lr * self.schedule(done / (phase.epochs * steps))
            if self.probe and moves_backbone:
                self.probe.observe(done, phase.epochs * steps, steps, phase.name, lr)
                self._set_modes(phase)
            with torch.set_grad_enabled(not phase.reestimate_batch_norm):
                features: Features = self.network(batch.images)
                terms = self.method(features, self._teach(batch), batch)
                total = torch.stack([self.weights[n] * term for n, term in terms.items()]).sum()
            if not phase.reestimate_batch_norm:
                total.backward()
                self.optimiser.step(lr)
            names = list(terms)
            size = len(batch.labels)
            right = (features.answer.argmax(1) == batch.labels).float().mean()
            seen = torch.stack([total, right, *terms.values()]).detach() * size
            sums = seen if sums is None else sums + seen
            count += size
        assert sums is not None
        means = (sums / count).tolist()
        if not all(abs(mean) < float("inf") for mean in means):
            raise UserError(
                f"{self.progress.title}: the loss is not finite in epoch {self.at.epoch + 1}"
                f" at learning rate {phase.lr:g}; lower it"
            )
        return {
            "epoch": self.at.epoch + 1,
            "phase": phase.name,
            "lr": lr,
            "train_loss": means[0],
            "train_accuracy": 100 * means[1],
            **dict(zip(names, means[2:], strict=True)),
        }

    def _teach(self, batch: Batch) -> Features | None:
        return self.teacher(batch) if self.teacher else None

    def _validate(self, row: Row, *, due: bool) -> None:
        row |= {"validation_accuracy": None, "validation_loss": None}
        if due:
            logits = predict(self.network, self.data, self.data.validation).mean(0)
            labels = self.data.validation.labels
            row["validation_accuracy"] = 100 * (logits.argmax(1) == labels).float().mean().item()
            row["validation_loss"] = cross_entropy(logits, labels).item()

    def _dry_run(self) -> None:
        """Two images through network, teacher and method, before the first epoch."""
        split = self.data.train
        index = torch.arange(2, device=split.labels.device)
        view = torch.zeros_like(index)
        batch = Batch(self.batches.images(index, view), split.labels[:2], index, view)
        self.network.eval()
        with torch.no_grad():
            try:
                terms = self.method(self.network(batch.images), self._teach(batch), batch)
            except (RuntimeError, ValueError, KeyError, AssertionError) as error:
                raise UserError(
                    f"{self.progress.title}: student, teacher and method do not fit: {error}"
                ) from error
        if terms.keys() != self.weights.keys():
            raise UserError(
                f"{self.progress.title}: the method's losses are {sorted(terms)},"
                f" but weights name {sorted(self.weights)}; name exactly these"
            )

    # -- state -------------------------------------------------------------------------------

    def _save(self) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"method.{k}": v for k, v in self.method.state_dict().items()}
        tensors |= {f"velocity.{i}": v for i, v in enumerate(self.optimiser.velocity)}
        tensors["rng"] = torch.get_rng_state()
        position = {"at": vars(self.at), "history": self.history}
        if self.probe:
            tensors |= {f"probe.{k}": v for k, v in self.probe.state().items()}
            position["probe"] = self.probe.rows
        self.checkpoint.save(tensors, position)
        self._saved = time.monotonic()

    def _restore(self, tensors: dict[str, Tensor], position: dict[str, Any]) -> None:
        def named(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.at = Position(**position["at"])
        self.history = position["history"]
        self.network.load_state_dict(named("network."))
        self.method.load_state_dict(named("method."))
        phase = self.phases[self.at.phase]
        self._new_optimiser(phase)
        for number, velocity in enumerate(self.optimiser.velocity):
            velocity.copy_(tensors[f"velocity.{number}"])
        torch.set_rng_state(tensors["rng"])
        if self.probe:
            self.probe.restore(named("probe."), position["probe"])
