"""All metrics of all runs of a study, from their stored logits; no network is loaded."""

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.analysis.records.agreement import refuse_others
from stagewise.analysis.records.logits import Logits, output_names
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError

Splits = dict[str, Logits]


def evaluate(study: Study) -> pd.DataFrame:
    """A row per run, exit ("1" … "K" and "ensemble", or "final") and split of the study.

    Columns: path, arm, seed, exit, split, the metrics, parameters, macs, file_bytes.

    Raises:
        UserError: a record or logits file is missing or broken, or does not fit its teacher's;
            records are not what the plan says.
    """
    refuse_others(study)
    bins = study.config["evaluation"]["ece_bins"]

    @lru_cache(maxsize=16)  # a handful of teachers serve all runs
    def reference(path: str) -> Splits:
        return study.files(path).logits(*study.splits)

    rows = []
    for run in study.runs.to_dict("records"):
        path = str(run["path"])
        splits = study.files(path).logits(*study.splits)
        costs = _costs(study, path, len(splits["test"].logits))
        teacher = reference(run["reference"]) if run["reference"] else None
        for split in study.splits:
            target = (
                None if teacher is None else _target(study, path, teacher[split], splits[split])
            )
            for name, logits in zip(costs, splits[split].outputs, strict=True):
                rows.append(
                    {
                        "path": path,
                        "arm": run["arm"],
                        "seed": run["seed"],
                        "exit": name,
                        "split": split,
                        **metrics.all_metrics(logits, splits[split].labels, target, bins),
                        **costs[name],
                        "file_bytes": study.files(path).record.file_bytes,
                    }
                )
    return pd.DataFrame(rows)


def _costs(study: Study, path: str, exits: int) -> dict[str, dict[str, int]]:
    """Output to its parameters and MACs, in the order of the outputs."""
    costs, names = study.files(path).record.costs, output_names(exits)
    if set(costs) != set(names):
        raise UserError(
            f"{study.folder(path)}: record.json has costs of exits {sorted(costs)}, logits.npz "
            f"has {names}; delete the folder and run again"
        )
    return {name: costs[name] for name in names}


def _target(study: Study, path: str, teacher: Logits, student: Logits) -> NDArray[np.float32]:
    """The teacher's final exit, checked to be about the same images."""
    if not np.array_equal(teacher.labels, student.labels):
        raise UserError(
            f"{study.folder(path)}: its images are not those of its teacher; "
            "delete the older of the two and run again"
        )
    return np.asarray(teacher.logits[-1])
