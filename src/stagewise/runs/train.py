"""One run from its spec: build, train, measure, and leave the run folder."""

import importlib
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stagewise import catalogue
from stagewise.data.batches import TrainingBatches, load_task
from stagewise.files import canonical_json, sha256_text, write_text
from stagewise.methods.base import DistillationMethod
from stagewise.models.store import BUILDING, seeded
from stagewise.process.epochs import Progress
from stagewise.recipes.base import make_phases
from stagewise.runs.folder import csv_text, timing, write_run
from stagewise.runs.start import Inputs, build_method, load_parent, start
from stagewise.study.spec import TrainSpec
from stagewise.training.checkpoint import Checkpoint, state_folder
from stagewise.training.cost import training_effort
from stagewise.training.observer import Observer, Subject
from stagewise.training.precision import plain_float32, precision
from stagewise.training.table import TableFolder
from stagewise.training.teachers import table_key, teacher_for
from stagewise.training.trainer import Diverged, Trainer

NO_HISTORY = "epoch,validation_accuracy\n"
"""``history.csv`` of a run without an epoch."""


def train_run(
    spec: TrainSpec,
    inputs: Inputs,
    out: Path,
    *,
    code: str,
    work: Path,
    device: torch.device,
    title: str,
    tables: TableFolder | None = None,
    live: bool = False,
    budget: float | None = None,
) -> None:
    """Train one run to its end and write its folder.

    ``work`` is for its state, ``tables`` for its teacher's answers.

    Raises:
        UserError: inputs are missing or do not fit together.
        Diverged: the loss is not finite, and the spec does not say that this ends the run.
        OutOfTime: the budget ended; calling again with the same arguments continues.
    """
    began = time.perf_counter()
    settings, name = spec.training, spec.method["method"]
    data = load_task(inputs.data, spec.data, device)
    needs, weights = catalogue.method_needs(name), catalogue.method_weights(name) | spec.weights
    plain_float32()
    with BUILDING:
        torch.set_num_threads(settings.threads)
        network, architecture = start(spec, inputs, data)
        network.to(device)
        teacher = None
        if "teacher" in inputs.parents or needs.teacher:
            loaded, _ = load_parent(inputs, "teacher", data)
            teacher = loaded.to(device).eval().requires_grad_(False)
        method = build_method(spec, inputs, data, network, teacher)
        seeded(spec.seed, "training")
    batches = TrainingBatches(data, seed=spec.seed, settings=settings)
    phases = make_phases(spec.recipe, epochs=settings.epochs, lr=settings.lr, paths=network.paths())
    subject = Subject(
        network,
        method,
        weights,
        teacher,
        data,
        phases,
        len(batches),
        spec.seed,
        remembers=needs.remembers,
    )
    observers = {name: make_observer(name, subject) for name in spec.observers}
    checksums = inputs.sha256()
    forward_precision = precision(settings.dtype, device)
    answering = None
    if teacher:
        from_teacher = {role: checksums[role] for role in ("teacher", "data")}
        kept = table_key(from_teacher, batches, spec.data.written(), settings.dtype)
        answering = teacher_for(teacher, batches, needs, forward_precision, tables, kept)
    state = [spec.written(), code, checksums, torch.__version__, device.type]
    with state_folder(work, sha256_text(canonical_json(state))[:16]) as folder:
        trainer = Trainer(
            network,
            method,
            weights,
            answering,
            batches,
            phases,
            settings,
            checkpoint=Checkpoint(folder),
            progress=Progress(title, sum(phase.epochs for phase in phases), live),
            precision=forward_precision,
            observers=observers,
            budget=budget,
        )
        diverged = False
        try:
            history = trainer.run()
        except Diverged as error:
            if spec.divergence == "fails":
                raise
            print(f"{error} (the run ends here, and is recorded)", flush=True)
            history, diverged = trainer.history, True
        seconds = trainer.seconds
        for name in catalogue.observers():
            # What an earlier run of other settings logged here is not this one's.
            (out / f"{name}.csv").unlink(missing_ok=True)
        for name, observer in observers.items():
            write_text(out / f"{name}.csv", csv_text(observer.rows))
        write_text(out / "history.csv", csv_text(history) if history else NO_HISTORY)
        entry, part = trained_part(spec, method)
        loss = history[-1]["train_loss"] if history and not diverged else math.nan
        effort = training_effort(network, method, weights, teacher, batches, phases)
        write_run(
            out,
            network,
            replace(architecture, part=entry),
            data,
            spec=spec,
            inputs=inputs,
            checksums=checksums,
            code=code,
            protocol={
                "epochs": len(history),
                "steps_per_epoch": len(batches),
                "dtype": settings.dtype,
                "device": device.type,
                **effort,
                **({"diverged": True} if diverged else {}),
                **({"pairs": method.pairs} if method.pairs else {}),
            },
            train_loss=loss if math.isfinite(loss) else None,  # JSON cannot hold a diverged one
            part=part,
        )
        cpu = trainer.clock.rounded()
        total = trainer.earlier + time.perf_counter() - began
        timing(out, seconds, total, len(history), device, cpu)


def make_observer(name: str, subject: Subject) -> Observer:
    """The observer ``name`` (a file of ``measure/``) of a run."""
    module = importlib.import_module(catalogue.module_name(catalogue.observers()[name]))
    observer: Observer = module.Observer(subject)
    return observer


def trained_part(
    spec: TrainSpec, method: DistillationMethod
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a teacher keeps of the method that was trained on it: its entry and its tensors; both
    empty where the method is no part of a teacher, or has nothing of its own."""
    tensors = method.state_dict() if catalogue.teacher_part(spec.method["method"]) else {}
    return (spec.method, tensors) if tensors else ({}, {})
