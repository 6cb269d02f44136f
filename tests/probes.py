"""Probes of toy networks, and what they see of a training."""

from collections.abc import Sequence
from typing import Any

from helpers import make, make_trainer, task_data

from stagewise.measure.shock import Observer
from stagewise.models.features import Network
from stagewise.recipes.base import Phase
from stagewise.training.observer import Moment, Subject

KD = {"ce": 0.1, "kd": 0.9}
PHASE = Phase("train", 10, 0.1)


def moment(step: int, phase: Phase = PHASE) -> Moment:
    """A moment of a phase, at the rate 0.1."""
    return Moment(phase, step, 0.1)


def subject(
    student: Network,
    teacher: Network | None = None,
    *,
    images: int = 16,
    phases: Sequence[Phase] = (PHASE,),
    per_epoch: int = 10,
    name: str = "",
    weights: dict[str, float] | None = None,
) -> Subject:
    """What a probe is given of a run."""
    method = make(name or ("kd" if teacher else "ce"), student, teacher)
    given = weights or (KD if teacher else {"ce": 1.0})
    data = task_data(images)
    return Subject(student, method, given, teacher, data, phases, per_epoch, seed=0)


def probe(student: Network, teacher: Network | None = None, **options: Any) -> Observer:
    """A probe of a student that nothing has moved yet."""
    return Observer(subject(student, teacher, **options))


def look(student: Network, teacher: Network | None = None, step: int = 0) -> dict[str, float]:
    """The row of one look."""
    watching = probe(student, teacher)
    watching.before_step(moment(step))
    (row,) = watching.rows
    return row


def watched(
    student: Network, phases: Sequence[Phase], images: int = 16, **options: Any
) -> Observer:
    """What was seen of a training in steps of 8 images."""
    trainer = make_trainer(student, task_data(images), phases, **options)
    watching = probe(student, phases=phases, per_epoch=len(trainer.batches), images=images)
    trainer.observers = {"shock": watching}
    trainer.run()
    return watching
