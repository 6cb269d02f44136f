"""The one training loop: a network, a list of phases, and maybe a teacher."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.errors import UserError
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Batch, Features, Network
from stagewise.models.store import BUILDING
from stagewise.process.epochs import Progress
from stagewise.recipes.base import Phase, check_turns
from stagewise.study.spec import Training
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.clock import CpuClock
from stagewise.training.observer import Moment, Observer, Row
from stagewise.training.precision import Precision
from stagewise.training.schedules import SCHEDULES, warmed
from stagewise.training.sgd import SGD
from stagewise.training.state import Position, check_position, check_tensors, state_tensors
from stagewise.training.step import CAPTURING, Pass, make_step
from stagewise.training.teachers import FLOAT32, Teacher

SAVE_SECONDS = 1.0
"""Least training time between checkpoints: a small set's epoch can be shorter than a write."""

EVALUATION_BATCH = 256
"""Images that are evaluated at a time."""

STREAMS = threading.local()
"""Of each thread: its CUDA stream by device."""


class Diverged(UserError):
    """The loss is not finite."""


class OutOfTime(Exception):
    """The time budget is spent; everything is saved, and the same command goes on."""


@torch.no_grad()
def predict(
    network: Network, data: TaskData, split: Split, batch_size: int = EVALUATION_BATCH
) -> Tensor:
    """Logits (exits, N, classes) of a split in evaluation mode; one exit counts as one."""
    network.eval()
    network.run_to(None)
    parts = []
    for images in split.images.split(batch_size):
        features = network(data.normalise(images))
        parts.append(torch.stack(features.exits or (features.logits,)))
    return torch.cat(parts, dim=1)


def deepest_exit(
    parts: Sequence[str], stages: Sequence[str], moving: Collection[str]
) -> int | None:
    """Stages that a phase has to run: those up to the deepest exit that it trains; None is all,
    where something deeper moves, or no early exit does.

    ``parts`` and ``stages`` are the network's, shallow to deep; ``moving`` are parts.
    """
    exits = {name: int(name.partition(".")[2]) for name in parts if name.startswith("exits.")}
    deepest = max((place for name, place in exits.items() if name in moving), default=None)
    beyond = {*parts} - {*exits, "stem", *stages[:deepest]}
    return None if beyond & {*moving} else deepest


Running = tuple[int | None, tuple[str, ...] | None]
"""What a network runs (see ``Network.run_to``)."""


def running(phase: Phase, network: Network, parts: Collection[str]) -> list[Running]:
    """What runs for each update of a batch; ``parts`` are those of network and method."""
    own = [*network.parts()]
    return [
        (deepest_exit(own, network.stages, turn.factors(parts)), turn.exits) for turn in phase.turns
    ]


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """The thread's own stream on a GPU: a graph can be captured there, and runs can share the GPU.

    One for each thread and not for each run, because CUDA has 32 and then hands them out again: two
    runs on one stream would end up in one another's graphs.
    """
    if device.type != "cuda":
        yield
        return
    streams = STREAMS.__dict__
    stream = streams.get(str(device)) or streams.setdefault(str(device), torch.cuda.Stream(device))
    stream.wait_stream(torch.cuda.current_stream(device))
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        torch.cuda.current_stream(device).wait_stream(stream)


class Trainer:
    """Trains ``network`` in place.

    ``weights``: loss term → weight; the total is their weighted sum. ``teacher``: what answers for
    a batch (a ``LiveTeacher`` or a ``TableTeacher``), or None. ``settings``: the spec's
    ``training``. ``observers`` by name. ``budget``: seconds after which training stops at the next
    epoch's end.
    """

    def __init__(
        self,
        network: Network,
        method: DistillationMethod,
        weights: Mapping[str, float],
        teacher: Teacher | None,
        batches: TrainingBatches,
        phases: Sequence[Phase],
        settings: Training,
        *,
        checkpoint: Checkpoint,
        progress: Progress,
        precision: Precision = FLOAT32,
        observers: Mapping[str, Observer] | None = None,
        budget: float | None = None,
    ) -> None:
        self.network, self.method, self.weights = network, method, weights
        self.teacher, self.settings, self.precision = teacher, settings, precision
        self.batches, self.data = batches, batches.data
        self.phases = [phase for phase in phases if phase.epochs]
        self.parts = {**network.parts(), **method.parts()}
        self.running: list[Running] = [(None, None)]
        self.checkpoint, self.progress = checkpoint, progress
        self.observers = dict(observers or {})
        self.deadline = time.monotonic() + budget if budget else None
        self.history: list[Row] = []
        self.at = Position()
        self.clock, self.began = CpuClock(), time.perf_counter()
        self.earlier = 0.0  # seconds of processes that were stopped
        self._saved = time.monotonic()

    def run(self) -> list[Row]:
        """Train from the last checkpoint, if any, to the end; returns the history, a row an epoch.

        Raises:
            Diverged: the loss is not finite; the history ends with the epoch before.
            UserError: a two-image trial shows that the parts do not fit.
            OutOfTime: the budget ended; the checkpoint holds everything.
        """
        with own_stream(self.data.train.labels.device):
            try:
                self._run()
            finally:
                with CAPTURING:  # the memory of a graph goes now, and not in another's capture
                    vars(self).pop("step", None)
        return self.history

    @property
    def seconds(self) -> float:
        """On the clock until now, those of processes that were stopped too."""
        return self.earlier + time.perf_counter() - self.began

    def _run(self) -> None:
        self._dry_run()
        self._resume()
        self.clock.ready()
        while self.at.phase < len(self.phases):
            self._phase(self.phases[self.at.phase])
            self.at.phase += 1
            self.at.epoch_in_phase = 0
        self.checkpoint.wait()

    # -- one phase ---------------------------------------------------------------------------

    def _phase(self, phase: Phase) -> None:
        if self.at.epoch_in_phase == 0:
            self._start(phase)
            phase.prepare(self._batch_norms())
        self._set_modes(phase)
        while self.at.epoch_in_phase < phase.epochs:
            row = self._epoch(phase)
            self.at.epoch_in_phase += 1
            self.at.epoch += 1
            last = self.at.epoch == sum(p.epochs for p in self.phases)
            due = last or self.at.epoch % self.settings.evaluate_every == 0
            with self.clock("validation"):
                self._validate(row, due=due)
            self.history.append(row)
            self.progress.epoch(row, due=due)
            if self.at.epoch_in_phase == phase.epochs:
                with self.clock("observers"):
                    for observer in self.observers.values():
                        observer.after_phase(phase, last=last)
            self._set_modes(phase)
            out_of_time = self.deadline is not None and time.monotonic() > self.deadline
            if last or out_of_time or time.monotonic() - self._saved > SAVE_SECONDS:
                self._save()
            if out_of_time and not last:
                self.checkpoint.wait()
                raise OutOfTime

    def _start(self, phase: Phase) -> None:
        """An optimiser over what this phase trains, and the step that uses it."""
        self.optimiser = self._optimiser(phase)
        self.running = running(phase, self.network, self.parts)
        weights = self.weights if phase.weights is None else phase.weights
        self.network.run_to(None)
        hook = phase.before_update(self.network, self.data.normalise(self.data.train.images[:2]))
        with CAPTURING:  # as in ``run``, where a step is replaced
            self.step = make_step(
                self.passes,
                self.method,
                weights,
                self.batches,
                self.optimiser if phase.updates else None,
                hook,
            )

    def _optimiser(self, phase: Phase) -> SGD:
        """A new one; only what it moves has gradients from now on."""
        factors = phase.factors(self.parts)
        groups: dict[float, list[Tensor]] = {}
        for name, part in self.parts.items():
            part.requires_grad_(name in factors)
            tensors = part.parameters() if isinstance(part, nn.Module) else [part]
            groups.setdefault(factors.get(name, 1.0), []).extend(tensors)
        return SGD(
            groups,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
            nesterov=self.settings.nesterov,
            clip=self.settings.clip,
        )

    def passes(self, batch: Batch) -> Iterator[Pass]:
        """Features, and loss terms, of the batch that the method makes of ``batch``, once for each
        update; what is deeper than the deepest exit that it moves does not run."""
        batch = self.method.views(batch)
        teacher = self.teacher(batch) if self.teacher else None
        for depth, exits in self.running:
            self.network.run_to(depth, exits)
            with self.precision:
                features: Features = self.network(batch.images)
            features = features.float()
            yield Pass(features, teacher, batch, self.method(features, teacher, batch))

    def _set_modes(self, phase: Phase) -> None:
        """Training mode for what moves, evaluation mode for all else."""
        moving = phase.factors(self.parts)
        for name, part in self.parts.items():
            if isinstance(part, nn.Module):
                part.train(phase.in_training_mode(name, moving))
        phase.set_batch_norm(self._batch_norms())

    def _batch_norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.network.modules() if isinstance(m, nn.BatchNorm2d)]

    def _epoch(self, phase: Phase) -> Row:
        """One pass over the training images; nothing is read from the device before its end."""
        index, view = self.batches.draw(self.at.epoch)
        if self.teacher:
            with self.clock("teacher"):
                self.teacher.prepare(index, view)
        steps, size = len(self.batches), self.batches.batch_size
        schedule = SCHEDULES[phase.schedule or self.settings.schedule]
        whole = phase.schedule_epochs or phase.epochs
        lr = 0.0
        for number, part in enumerate(zip(index.split(size), view.split(size), strict=True)):
            done = (phase.schedule_start + self.at.epoch_in_phase) * steps + number
            lr = phase.lr * schedule(done, steps, whole, self.settings.milestones)
            lr *= warmed(done, steps, whole, self.settings.warm_up)
            with self._observed(Moment(phase, self.at.epoch * steps + number, lr)) as moment:
                self.step(*part, lr, moment.step)
        with self.clock("steps"):
            means = self.step.means()
        if not all(abs(mean) < float("inf") for mean in means.values()):
            raise Diverged(
                f"{self.progress.title}: the loss is not finite in epoch {self.at.epoch + 1}"
                f" at learning rate {phase.lr:g}; lower it"
            )
        return {"epoch": self.at.epoch + 1, "phase": phase.name, "lr": lr, **means}

    @contextmanager
    def _observed(self, moment: Moment) -> Iterator[Moment]:
        """A step, between what observers do before it and after it."""
        if self.observers:
            with self.clock("observers"):
                for observer in self.observers.values():
                    observer.before_step(moment)
                self._set_modes(moment.phase)
        with self.clock("steps"):
            yield moment
        if self.observers:
            with self.clock("observers"):
                for observer in self.observers.values():
                    observer.after_step(moment)

    def _validate(self, row: Row, *, due: bool) -> None:
        row |= {"validation_accuracy": None, "validation_loss": None}
        if due and len(self.data.validation.labels):
            logits = predict(self.network, self.data, self.data.validation).mean(0)
            labels = self.data.validation.labels
            row["validation_accuracy"] = 100 * (logits.argmax(1) == labels).float().mean().item()
            row["validation_loss"] = cross_entropy(logits, labels).item()

    def _dry_run(self) -> None:
        """Two images through network, teacher and method, before the first epoch."""
        index = torch.arange(2, device=self.data.train.labels.device)
        view = torch.zeros_like(index)
        self.network.eval()
        self.method.eval()
        with torch.no_grad():
            try:
                if self.teacher:
                    self.teacher.prepare(index, view)
                [seen] = self.passes(self.batches.batch(index, view))
            except (RuntimeError, ValueError, KeyError, AssertionError) as error:
                raise UserError(
                    f"{self.progress.title}: student, teacher and method do not fit: {error}"
                ) from error
        terms = seen.terms
        if terms.keys() != self.weights.keys():
            raise UserError(
                f"{self.progress.title}: the method's losses are {sorted(terms)},"
                f" but weights name {sorted(self.weights)}; name exactly these"
            )
        for phase in self.phases:
            self._check(phase, terms)
        check_turns(self.phases, self.method.compares_exits)

    def _check(self, phase: Phase, terms: Collection[str]) -> None:
        """A phase that trains something by some loss."""
        weights = self.weights if phase.weights is None else phase.weights
        if not any(weights.get(name) for name in terms) or weights.keys() - {*terms}:
            raise UserError(
                f"{self.progress.title}: phase '{phase.name}' weights {dict(weights)}; give some"
                f" of the losses {sorted(terms)} a weight, and nothing else"
            )
        if phase.updates and not phase.factors(self.parts):
            raise UserError(
                f"{self.progress.title}: phase '{phase.name}' trains {phase.trains}, and neither"
                " network nor method has any of these"
            )

    # -- state -------------------------------------------------------------------------------

    def _tensors(self, optimiser: SGD) -> dict[str, Tensor]:
        return state_tensors(self.network, self.method, optimiser.velocity, self.observers)

    def _save(self) -> None:
        rows = {name: observer.rows for name, observer in self.observers.items()}
        spent = {"seconds": self.seconds, "cpu": self.clock.rounded()}
        position = {"at": vars(self.at), "history": self.history, "observers": rows, "spent": spent}
        self.checkpoint.save(self._tensors(self.optimiser), position)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        """Go on from the last state if it is whole and this run's; discard it, in one line, if it
        is not."""
        try:
            saved = self.checkpoint.load()
            if not saved:
                return
            tensors, stated = saved
            at = check_position(stated, self.phases, self.weights, self.observers)
            check_tensors(tensors, self._tensors(self._optimiser(self.phases[at.phase])))
        except ValueError as error:
            said = f"its training state cannot be used ({' '.join(str(error).split())})"
            print(f"{self.progress.title}: {said}; training starts anew", flush=True)
            self.checkpoint.discard()
            return
        self._restore(at, tensors, stated)
        self.progress.resume(at.epoch)

    def _restore(self, at: Position, tensors: dict[str, Tensor], stated: dict[str, Any]) -> None:
        def named(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.at, self.history = at, stated["history"]
        self.earlier = stated["spent"]["seconds"]
        self.clock.add(stated["spent"]["cpu"])
        self.network.load_state_dict(named("network."))
        self.method.load_state_dict(named("method."))
        self._start(self.phases[at.phase])
        for number, velocity in enumerate(self.optimiser.velocity):
            velocity.copy_(tensors[f"velocity.{number}"])
        with BUILDING:
            torch.set_rng_state(tensors["rng"])
        for name, observer in self.observers.items():
            observer.restore(named(f"{name}."), stated["observers"][name])
