"""One run from its spec: build, train, measure, and leave the run folder."""

import csv
import io
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stagewise import catalogue
from stagewise.data.batches import TaskData, TrainingBatches, load_task
from stagewise.errors import UserError
from stagewise.files import (
    atomic,
    canonical_json,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)
from stagewise.measure.shock import ShockProbe
from stagewise.methods.base import make_method
from stagewise.models.cost import costs
from stagewise.models.features import Network
from stagewise.models.store import (
    BUILDING,
    Architecture,
    build,
    load_network,
    new_classifier,
    save_network,
    seeded,
    with_exits,
)
from stagewise.process.epochs import Progress
from stagewise.recipes.base import make_phases
from stagewise.training.checkpoint import Checkpoint, state_folder
from stagewise.training.precision import plain_float32, precision
from stagewise.training.table import TableFolder
from stagewise.training.teachers import table_key, teacher_for
from stagewise.training.trainer import Row, Trainer, predict

AUGMENTATION = ("crop", "flip", "rotation", "auto_augment", "mixup")

Spec = dict[str, Any]
Built = tuple[Network, Architecture]


@dataclass(frozen=True)
class Inputs:
    """Files of a run: prepared data, and parents' weight files by role (``teacher``, ``init``)."""

    data: Path
    parents: dict[str, Path]

    def sha256(self) -> dict[str, str]:
        """Checksum of every input."""
        files = {"data": self.data, **self.parents}
        return {role: sha256_file(path) for role, path in files.items()}


def load_parent(inputs: Inputs, role: str, data: TaskData, *, same_classes: bool = True) -> Built:
    """The network of a parent.

    Raises:
        UserError: it was not given, or was made for other images or classes than the run's.
    """
    path = inputs.parents.get(role)
    if path is None:
        raise UserError(f"--{role}: this run needs the weights of a parent; give --{role} FILE")
    network, architecture = load_network(path)
    channels, size = data.shape
    made = [architecture.channels, architecture.image_size]
    given = [channels, size]
    if same_classes:
        made, given = [*made, architecture.classes], [*given, len(data.classes)]
    if made != given:
        raise UserError(
            f"{path}: its (channels, pixels, classes) {made} do not fit those of {inputs.data},"
            f" {given}; delete both and run again, so that they are of one study"
        )
    return network, architecture


def from_scratch(spec: Spec, inputs: Inputs, data: TaskData) -> Built:
    """New weights."""
    options = {key: value for key, value in spec["network"].items() if key != "network"}
    channels, size = data.shape
    name = spec["network"]["network"]
    architecture = Architecture(name, options, len(data.classes), channels, size, spec.get("exits"))
    return build(architecture, spec["seed"]), architecture


def from_parent(spec: Spec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's weights; new exits where the spec has exits and the parent none."""
    network, architecture = load_parent(inputs, "init", data)
    if spec.get("exits") and not architecture.exits:
        return with_exits(network, architecture, spec["exits"], spec["seed"])
    return network, architecture


def from_features(spec: Spec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's backbone under a new classifier for the task's classes."""
    network, architecture = load_parent(inputs, "init", data, same_classes=False)
    new_classifier(network, len(data.classes), spec["seed"])
    fields = {**vars(architecture), "classes": len(data.classes)}
    return network, Architecture(**fields)


def from_shape(spec: Spec, inputs: Inputs, data: TaskData) -> Built:
    """The parent's (pruned) shape with new weights."""
    _, architecture = load_parent(inputs, "init", data)
    return build(architecture, spec["seed"]), architecture


STARTS: dict[str, Callable[[Spec, Inputs, TaskData], Built]] = {
    "scratch": from_scratch,
    "parent": from_parent,
    "features": from_features,
    "shape": from_shape,
}


def train_run(
    spec: Spec,
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
        OutOfTime: the budget ended; calling again with the same arguments continues.
    """
    began = time.perf_counter()
    settings = spec["training"]
    data = load_task(inputs.data, spec["data"]["task"], spec["data"]["images"], device)
    needs = catalogue.method_needs(spec["method"]["method"])
    plain_float32()
    with BUILDING:
        torch.set_num_threads(settings["threads"])
        network, architecture = STARTS[spec["init"]](spec, inputs, data)
        network.to(device)
        teacher = None
        if "teacher" in inputs.parents or "teacher" in needs:
            loaded, _ = load_parent(inputs, "teacher", data)
            teacher = loaded.to(device).eval().requires_grad_(False)
        seeded(spec["seed"], "method")
        method = make_method(spec["method"]).to(device)
        seeded(spec["seed"], "training")
    batches = TrainingBatches(
        data,
        seed=spec["seed"],
        batch_size=settings["batch_size"],
        **{name: settings[name] for name in AUGMENTATION},
    )
    phases = make_phases(spec["recipe"], epochs=settings["epochs"], lr=settings["lr"])
    probe = None
    if spec.get("probe"):
        probe = ShockProbe(network, method, spec["weights"], teacher, data)
    checksums = inputs.sha256()
    forward_precision = precision(settings["dtype"], device)
    answering = None
    if teacher:
        from_teacher = {role: checksums[role] for role in ("teacher", "data")}
        kept = table_key(from_teacher, batches, spec["data"], settings["dtype"])
        answering = teacher_for(teacher, batches, needs, forward_precision, tables, kept)
    key = sha256_text(canonical_json([spec, code, checksums, torch.__version__, device.type]))[:16]
    with state_folder(work, key) as folder:
        trainer = Trainer(
            network,
            method,
            spec["weights"],
            answering,
            batches,
            phases,
            settings,
            checkpoint=Checkpoint(folder),
            progress=Progress(title, sum(phase.epochs for phase in phases), live),
            precision=forward_precision,
            probe=probe,
            budget=budget,
        )
        started = time.perf_counter()
        history = trainer.run()
        seconds = time.perf_counter() - started
        if probe:
            write_text(out / "shock.csv", csv_text(probe.rows))
        write_text(out / "history.csv", csv_text(history))
        write_run(
            out,
            network,
            architecture,
            data,
            spec=spec,
            inputs=inputs,
            checksums=checksums,
            code=code,
            device=device,
            extra={
                "epochs": len(history),
                "steps_per_epoch": len(batches),
                "train_loss": _finite(history[-1]["train_loss"]),
            },
        )
        cpu = trainer.clock.rounded()
        timing(out, seconds, time.perf_counter() - began, len(history), device, cpu)


def write_run(
    out: Path,
    network: Network,
    architecture: Architecture,
    data: TaskData,
    *,
    spec: Spec,
    inputs: Inputs,
    checksums: dict[str, str],
    code: str,
    device: torch.device,
    extra: dict[str, Any],
    pruning: dict[str, Any] | None = None,
) -> None:
    """Weights, logits of test images and of validation images, if any, and the record, the record
    last."""
    for half in out.glob(".*.tmp"):  # of a process that was killed while writing
        half.unlink()
    save_network(network, architecture, out / "model.safetensors")
    splits = {"validation": data.validation, "test": data.test}
    splits = {name: split for name, split in splits.items() if len(split.labels)}
    logits = {name: predict(network, data, split).cpu() for name, split in splits.items()}
    labels = {name: split.labels.cpu() for name, split in splits.items()}
    with atomic(out / "logits.npz") as temporary, open(temporary, "wb") as stream:
        arrays: dict[str, Any] = {name: values.numpy() for name, values in logits.items()}
        arrays |= {f"{name}_labels": values.numpy() for name, values in labels.items()}
        np.savez(stream, **arrays)
    accuracy = {
        name: 100 * (logits[name].mean(0).argmax(1) == labels[name]).double().mean().item()
        for name in splits
    }
    record = {
        "spec": spec,
        "parents": {
            role: {"path": str(path.parent), "sha256": checksums[role]}
            for role, path in inputs.parents.items()
        },
        "data_sha256": checksums["data"],
        "model_sha256": sha256_file(out / "model.safetensors"),
        "code": code,
        "classes": data.classes,
        "costs": costs(network, architecture),
        "file_bytes": (out / "model.safetensors").stat().st_size,
        "final": {
            "train_loss": extra.get("train_loss"),
            "validation_accuracy": accuracy.get("validation"),
            "test_accuracy": accuracy["test"],
        },
        "protocol": {
            "selection": "last epoch",
            "epochs": extra["epochs"],
            "steps_per_epoch": extra["steps_per_epoch"],
            "dtype": spec.get("training", {}).get("dtype", "float32"),
            "device": device.type,
            "threads": torch.get_num_threads(),
        },
    }
    write_json(out / "record.json", record | ({"pruning": pruning} if pruning else {}))


def _finite(value: float) -> float | None:
    """None for the loss of a diverged run, which JSON cannot hold."""
    return value if math.isfinite(value) else None


def csv_text(rows: list[Row]) -> str:
    """Rows as CSV, columns in order of first appearance, numbers in full precision."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def timing(
    out: Path,
    training: float,
    total: float,
    epochs: int,
    device: torch.device,
    cpu: dict[str, float],
) -> None:
    """What may differ between two equal runs: seconds, hardware, versions."""
    cuda = torch.cuda.get_device_name() if device.type == "cuda" else ""
    write_json(
        out / "timing.json",
        {
            "training_seconds": round(training, 3),
            "total_seconds": round(total, 3),
            "cpu_seconds": cpu,
            "epochs": epochs,
            "device": cuda or platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
