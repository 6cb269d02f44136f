"""A run's network cut at one of its exits, as a folder of its own: what that exit needs, no more.

No image is needed: what the exit answered lies in the run's ``logits.npz``, and the cut network
answers the same, bit for bit.
"""

import math
from dataclasses import replace
from pathlib import Path

import torch

from stagewise.analysis.records.logits import SPLITS
from stagewise.analysis.records.run_files import LARGEST_RECORD
from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file, write_json
from stagewise.models.cost import costs
from stagewise.models.exits import MultiExit
from stagewise.models.features import Network
from stagewise.models.store import Architecture, cut_at, save_network
from stagewise.runs.finished import finished
from stagewise.runs.folder import accuracies, write_logits


def cut_run(run: Path, number: int, out: Path) -> list[dict[str, str | int]]:
    """Write the folder ``out``: weights, the exit's logits, and a record, last, which is the run's
    but for what the cut changed, and says under ``cut`` what it was cut from. Returns its costs.

    ``number``: the exit, counted from 1 as in records and tables.

    Raises:
        UserError: the run is not whole, has no exits, or has no such exit; or ``out`` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} is there already; name a new folder")
    files, network, architecture = finished(run)
    record = files.record
    if not isinstance(network, MultiExit):
        raise UserError(f"{run}: its network has no exits to cut it at; name a run of multi_exit")
    if not 1 <= number <= len(network.places):
        raise UserError(
            f"--exit: {number}, but the network of {run} has exits 1 to {len(network.places)};"
            " choose one of these"
        )
    place = network.places[number - 1]
    stage = network.stages[place - 1]
    kept, shape = _cut(run, network, architecture, place)
    held_out = not math.isnan(record.validation_accuracy)
    answers = files.logits(*(SPLITS if held_out else ("test",)))
    logits = {
        name: torch.from_numpy(part.logits[number - 1 : number]) for name, part in answers.items()
    }
    labels = {name: torch.from_numpy(part.labels) for name, part in answers.items()}
    accuracy = accuracies(logits, labels)
    out.mkdir(parents=True, exist_ok=True)
    save_network(kept, shape, out / "model.safetensors")
    write_logits(out, logits, labels)
    found = costs(kept, shape)
    write_json(
        out / "record.json",
        {
            **read_json(run / "record.json", LARGEST_RECORD),
            "model_sha256": sha256_file(out / "model.safetensors"),
            "costs": found,
            "file_bytes": (out / "model.safetensors").stat().st_size,
            "final": {
                "train_loss": None,
                "validation_accuracy": accuracy.get("validation"),
                "test_accuracy": accuracy["test"],
            },
            "cut": {
                "run": str(run),
                "exit": number,
                "stage": stage,
                "model_sha256": record.model_sha256,
            },
        },
    )
    return found


def _cut(
    run: Path, network: MultiExit, architecture: Architecture, place: int
) -> tuple[Network, Architecture]:
    """What the exit at a stage needs; of the last exit, the backbone without heads."""
    plain = replace(architecture, part={})
    if place < len(network.stages):
        return cut_at(network, place), replace(plain, cut=place)
    if architecture.pruned:
        raise UserError(
            f"{run}: was pruned together with its exits, and cannot be rebuilt without them; choose"
            " an earlier exit"
        )
    return network.backbone, replace(plain, exits=None, places=[])
