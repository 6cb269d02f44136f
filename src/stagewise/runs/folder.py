"""What a run leaves: weights, logits, tables, timing, and the record, last."""

import csv
import io
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stagewise.data.batches import TaskData
from stagewise.files import atomic, sha256_file, write_json
from stagewise.models.cost import costs
from stagewise.models.features import Network
from stagewise.models.store import Architecture, save_network
from stagewise.process.machine import processor
from stagewise.runs.start import Inputs
from stagewise.study.spec import Spec
from stagewise.training.observer import Row
from stagewise.training.trainer import predict


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
    protocol: dict[str, Any],
    train_loss: float | None = None,
    part: Mapping[str, Tensor] | None = None,
    pruning: dict[str, Any] | None = None,
) -> None:
    """Weights (with a teacher's ``part``), logits of test images and of validation images, if any,
    and the record, the record last.

    ``checksums``: of the inputs. ``protocol``: how the run was done, beyond its spec.
    ``train_loss``: of the last epoch.
    """
    for pattern in (".*.tmp", ".tmp??????"):  # of a process that was killed while writing
        for half in out.glob(pattern):
            half.unlink()
    save_network(network, architecture, out / "model.safetensors", part)
    splits = {"validation": data.validation, "test": data.test}
    splits = {name: split for name, split in splits.items() if len(split.labels)}
    logits = {name: predict(network, data, split).cpu() for name, split in splits.items()}
    labels = {name: split.labels.cpu() for name, split in splits.items()}
    write_logits(out, logits, labels)
    accuracy = accuracies(logits, labels)
    record = {
        "spec": spec.written(),
        "settings": spec.settings(),
        "parents": {
            role: {"path": str(path.parent), "sha256": checksums[role]}
            for role, path in inputs.parents.items()
        },
        "data_sha256": checksums["data"],
        "model_sha256": sha256_file(out / "model.safetensors"),
        "code": code,
        "classes": data.classes,
        "input": taken(data),
        "costs": costs(network, architecture),
        "file_bytes": (out / "model.safetensors").stat().st_size,
        "final": {
            "train_loss": train_loss,
            "validation_accuracy": accuracy.get("validation"),
            "test_accuracy": accuracy["test"],
        },
        "protocol": {
            "selection": "last epoch",
            **protocol,
            "threads": torch.get_num_threads(),
        },
    }
    write_json(out / "record.json", record | ({"pruning": pruning} if pruning else {}))


def taken(data: TaskData) -> dict[str, Any]:
    """What the network takes: the shape of an image, and how its pixels, from 0 to 1, are
    normalised."""
    channels, size = data.shape
    mean, std = data.mean.flatten().tolist(), data.std.flatten().tolist()
    return {"channels": channels, "size": size, "mean": mean, "std": std}


def write_logits(out: Path, logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> None:
    """Write ``logits.npz``: of each split, logits (exits, N, classes) and labels (N,)."""
    arrays: dict[str, Any] = {name: values.numpy() for name, values in logits.items()}
    arrays |= {f"{name}_labels": values.numpy() for name, values in labels.items()}
    write_arrays(out / "logits.npz", arrays)


def write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """Write an npz file atomically; no array is packed."""
    size = sum(values.nbytes for values in arrays.values())
    with atomic(file, size) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **arrays)


def accuracies(logits: Mapping[str, Tensor], labels: Mapping[str, Tensor]) -> dict[str, float]:
    """Split → accuracy of the mean of all exits, percent."""
    return {
        name: 100 * (values.mean(0).argmax(1) == labels[name]).double().mean().item()
        for name, values in logits.items()
    }


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
            "device": cuda or processor(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
