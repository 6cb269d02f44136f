"""All metrics of all runs of a study, from their stored logits; no network is loaded."""

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.analysis.records.study import Logits, Study, exit_names, read_logits
from stagewise.errors import UserError

Splits = dict[str, Logits]


def evaluate(study: Study) -> pd.DataFrame:
    """A row per run, exit ("1" … "K" and "ensemble", or "final") and split of the study.

    Columns: path, arm, seed, exit, split, the metrics, parameters, macs, file_bytes.

    Raises:
        UserError: a record or logits file is missing or broken, or does not fit its teacher's.
    """
    bins = study.config["evaluation"]["ece_bins"]

    @lru_cache(maxsize=16)  # a handful of teachers serve all runs
    def reference(path: str) -> Splits:
        return read_logits(study.folder(path), study.splits)

    rows = []
    for run in study.runs.to_dict("records"):
        path = str(run["path"])
        splits = read_logits(study.folder(path), study.splits)
        record = study.record(path)
        costs = _costs(study, path, record["costs"], len(splits["test"].logits))
        teacher = reference(run["reference"]) if run["reference"] else None
        for split in study.splits:
            target = (
                None if teacher is None else _target(study, path, teacher[split], splits[split])
            )
            for name, logits in zip(costs, outputs(splits[split].logits), strict=True):
                rows.append(
                    {
                        "path": path,
                        "arm": run["arm"],
                        "seed": run["seed"],
                        "exit": name,
                        "split": split,
                        **metrics.all_metrics(logits, splits[split].labels, target, bins),
                        **costs[name],
                        "file_bytes": record["file_bytes"],
                    }
                )
    return pd.DataFrame(rows)


def outputs(logits: NDArray[np.float32]) -> list[NDArray[np.floating]]:
    """Each output of a network: its exits and, where there are several, their ensemble."""
    return [*logits] if len(logits) == 1 else [*logits, metrics.ensemble(logits)]


def _costs(
    study: Study, path: str, costs: list[dict[str, int]], exits: int
) -> dict[str, dict[str, int]]:
    """Exit name to its parameters and MACs, in the order of the outputs."""
    by_exit = {str(cost["exit"]): cost for cost in costs}
    names = exit_names(exits)
    if set(by_exit) != set(names):
        raise UserError(
            f"{study.folder(path)}: record.json has costs of exits {sorted(by_exit)}, logits.npz "
            f"has {names}; delete the folder and run again"
        )
    return {name: {key: by_exit[name][key] for key in ("parameters", "macs")} for name in names}


def _target(study: Study, path: str, teacher: Logits, student: Logits) -> NDArray[np.float32]:
    """The teacher's final exit, checked to be about the same images."""
    if not np.array_equal(teacher.labels, student.labels):
        raise UserError(
            f"{study.folder(path)}: its images are not those of its teacher; "
            "delete the older of the two and run again"
        )
    return np.asarray(teacher.logits[-1])
