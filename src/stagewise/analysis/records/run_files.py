"""The files that a run leaves in its folder, read and checked, each once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.logits import Logits, read_logits
from stagewise.analysis.records.settings import Settings, read_settings
from stagewise.files import read_json
from stagewise.schemas import checked

SCHEMAS = "analysis/records"
LARGEST_RECORD, LARGEST_TIMING = 16 * 2**20, 2**20
"""Bytes of the largest ones that are read; a record names all classes."""
SHOCK_COLUMNS = ("step", "g_backbone", "displacement", "probe_accuracy")


@dataclass(frozen=True)
class Taken:
    """What a network takes: images of ``channels`` and ``size``, whose pixels, from 0 to 1, less
    ``mean`` are divided by ``std``, by channel."""

    channels: int
    size: int
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class Record:
    """``record.json``, as far as results need it: it is the same for equal runs.

    ``spec``: as the run was told. ``costs``: output → its parameters and MACs, and cumulative ones
    (``_costs``). ``protocol``: how it was trained. ``pruning``: of a run that pruned, else empty.
    ``parents``: role → SHA-256 of the parent's weights.
    ``classes``: their names, and ``taken``; records of before these were kept have none.
    ``test_accuracy``, ``validation_accuracy``: of the ensemble where there are exits, percent; NaN
    where it is not known.
    """

    spec: dict[str, Any]
    settings: Settings
    costs: dict[str, dict[str, float]]
    file_bytes: int
    protocol: dict[str, Any]
    pruning: dict[str, float]
    test_accuracy: float
    validation_accuracy: float
    code: str
    model_sha256: str
    data_sha256: str
    parents: dict[str, str]
    classes: list[str]
    taken: Taken | None


@dataclass(frozen=True)
class Timing:
    """``timing.json``, as far as results need it: it may differ between equal runs.

    ``total_seconds``: of a run on a CPU its CPU seconds where these are fewer, as on a busy machine
    runs wait.
    """

    total_seconds: float
    device: str
    python: str
    torch: str


def _costs(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Output → ``parameters`` and ``macs`` of its answer alone, and the same as ``cumulative_…``
    where all exits up to it answer one after the other.

    Records of before the latter were counted say them of the first and the last exit alone, which
    are what the first and everything take; the others are NaN.
    """
    found: dict[str, dict[str, float]] = {row["exit"]: {} for row in rows}
    for name in ("parameters", "macs"):
        ends = {**dict.fromkeys(range(len(rows))[-2:], rows[-1][name]), 0: rows[0][name]}
        for place, row in enumerate(rows):
            passed = row.get(f"cumulative_{name}", ends.get(place, float("nan")))
            found[row["exit"]] |= {name: row[name], f"cumulative_{name}": passed}
    return found


def _known(value: float | None) -> float:
    return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class RunFiles:
    """A run's folder; a file is read when it is asked for.

    Raises:
        UserError: the file is missing or broken.
    """

    folder: Path

    @property
    def finished(self) -> bool:
        """Whether there is a record: runs write it last."""
        return (self.folder / "record.json").exists()

    @cached_property
    def record(self) -> Record:
        """``record.json``."""
        file = self.folder / "record.json"
        problem, mend = f"{file}: is no record", f"delete {self.folder} and run again"
        content = checked(
            read_json(file, LARGEST_RECORD), f"{SCHEMAS}/record.schema.yaml", problem, mend
        )
        return Record(
            spec=content["spec"],
            settings=read_settings(content),
            costs=_costs(content["costs"]),
            file_bytes=content["file_bytes"],
            protocol=content["protocol"],
            pruning=content.get("pruning", {}),
            test_accuracy=_known(content.get("final", {}).get("test_accuracy")),
            validation_accuracy=_known(content.get("final", {}).get("validation_accuracy")),
            code=content.get("code", ""),
            model_sha256=content["model_sha256"],
            data_sha256=content.get("data_sha256", ""),
            parents={role: parent["sha256"] for role, parent in content.get("parents", {}).items()},
            classes=content.get("classes", []),
            taken=Taken(**content["input"]) if "input" in content else None,
        )

    @cached_property
    def timing(self) -> Timing | None:
        """``timing.json``; None where the run left none."""
        file = self.folder / "timing.json"
        if not file.exists():
            return None
        problem, mend = f"{file}: is no timing", f"delete {file}"
        content = checked(
            read_json(file, LARGEST_TIMING), f"{SCHEMAS}/timing.schema.yaml", problem, mend
        )
        total = content["total_seconds"]
        on_cpu = self.record.protocol.get("device") == "cpu"
        spent = (on_cpu and sum(content.get("cpu_seconds", {}).values())) or total
        facts = {name: content[name] for name in ("device", "python", "torch")}
        return Timing(total_seconds=min(total, spent), **facts)

    @cached_property
    def history(self) -> pd.DataFrame:
        """``history.csv``: a row per epoch."""
        return read_csv(self.folder / "history.csv", ("epoch", "validation_accuracy"))

    @property
    def diverged(self) -> bool:
        """Whether its loss was not finite, which ended its training."""
        return bool(self.record.protocol.get("diverged", False))

    @property
    def logs_shock(self) -> bool:
        """Whether the run logged the gradient shock."""
        return (self.folder / "shock.csv").exists()

    @cached_property
    def shock(self) -> pd.DataFrame:
        """``shock.csv``: a row per logged step, in their order."""
        return read_csv(self.folder / "shock.csv", SHOCK_COLUMNS).sort_values("step")

    def logits(self, *splits: str) -> dict[str, Logits]:
        """``logits.npz`` of some splits; large, so it is not kept."""
        return read_logits(self.folder, splits)
