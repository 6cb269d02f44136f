"""``summary.csv``: a row per run and exit with everything that later steps need."""

from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.records.agreement import refuse_others
from stagewise.analysis.records.labels import LABELS
from stagewise.analysis.records.logits import ENSEMBLE, SPLITS, main_output
from stagewise.analysis.records.metrics import FIDELITY
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError

METRICS = ("accuracy", "top5", "nll", "brier", "ece", "auroc", *FIDELITY)
COSTS = ("parameters", "macs", "cumulative_macs", "file_bytes")
EFFORT = ("training_macs", "teacher_macs", "method_parameters")
"""What a run's training took; records of before it was counted have none of it."""
EVALUATED = ("path", "arm", "seed", "exit", "split", *METRICS, *COSTS)
"""Columns of ``evaluation.csv``."""
REQUIRED = (
    *("path", "arm", "step", "name", "seed", *LABELS, "exit"),
    *(f"{split}_{metric}" for split in ("test", "validation") for metric in METRICS),
    *(*COSTS, "loss", "weights", "kd_weight", "config_hash", "code", "model_sha256"),
    *("teacher_sha256", "data_sha256", "lr", "macs_before", "ratio_reached"),
    *("selection", "epochs", "diverged", "dtype", "device", "threads"),
    *EFFORT,
)
"""Columns of ``summary.csv``."""


def summarise(study: Study, evaluation: pd.DataFrame) -> pd.DataFrame:
    """A row per run and exit.

    Columns: path, arm, step, name, seed, the labels, exit, test_* and validation_* metrics,
    parameters, macs, cumulative_macs, file_bytes, and the provenance of ``_provenance``; the
    ensemble of two runs has the effort of both.

    Raises:
        UserError: a record is missing or broken, or records are not what the plan says; a run was
            not evaluated.
    """
    refuse_others(study)
    if lacking := sorted({*study.runs["path"]} - {*evaluation["path"]}):
        raise UserError(f"evaluation.csv: lacks '{lacking[0]:.80}'; delete it and run again")
    index = ["path", "exit"]
    fixed = evaluation.drop_duplicates(index).set_index(index)
    parts = [fixed[[*COSTS]]]
    for split in reversed(SPLITS):
        part = evaluation[evaluation["split"] == split].set_index(index)[list(METRICS)]
        parts.insert(0 if split == "test" else 1, part.add_prefix(f"{split}_"))
    wide = pd.concat(parts, axis=1).reset_index()
    runs = study.runs[["path", "arm", "step", "name", "seed", *LABELS]]
    facts = pd.DataFrame([_provenance(study, path) for path in study.runs["path"]])
    return _with_partners(study, runs.merge(wide, on="path").merge(facts, on="path"))


def _with_partners(study: Study, summary: pd.DataFrame) -> pd.DataFrame:
    """With the training of both runs where the answer is both runs'."""
    partner = summary["path"].map(study.runs.set_index("path")["partner"])
    both = (partner != "") & (summary["exit"] == ENSEMBLE)
    own = summary.drop_duplicates("path").set_index("path")[[*EFFORT]].astype(float)
    theirs = own.reindex(partner[both]).to_numpy()
    effort = summary[[*EFFORT]].astype(float)
    effort.loc[both] += theirs
    return summary.assign(**{name: effort[name] for name in EFFORT})


def _provenance(study: Study, path: str) -> dict[str, Any]:
    """What a run was made from and how it was trained.

    ``loss``: its method's file. ``weights``: of the loss terms, "ce 0.1, kd 0.9"; both are empty
    where nothing was trained. ``kd_weight``: of the soft-target term, 0 without one. ``diverged``:
    1 where its loss was not finite, which ended its training.
    """
    record = study.files(path).record
    settings, protocol = record.settings, record.protocol
    weights = settings.weights
    return {
        "path": path,
        "loss": settings.method,
        "weights": ", ".join(f"{term} {w:g}" for term, w in sorted(weights.items()) if w),
        "kd_weight": float(weights.get("kd", 0)),
        "config_hash": settings.checksum,
        "code": record.code,
        "model_sha256": record.model_sha256,
        "teacher_sha256": record.parents.get("teacher", ""),
        "data_sha256": record.data_sha256,
        "lr": np.nan if settings.lr is None else settings.lr,
        "macs_before": record.pruning.get("macs_before", np.nan),
        "ratio_reached": record.pruning.get("ratio_reached", np.nan),
        **{
            key: protocol.get(key, "")
            for key in ("selection", "epochs", "dtype", "device", "threads")
        },
        "diverged": int(study.files(path).diverged),
        **{key: protocol.get(key, np.nan) for key in EFFORT},
    }


def main_outputs(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows that stand for a network: the ensemble where it has exits, else its one output."""
    chosen = summary.groupby("path")["exit"].transform(main_output)
    return summary[summary["exit"] == chosen]


def mean_accuracies(summary: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Step to arm to mean test accuracy of its main exit, percent, two digits (``dvc metrics``)."""
    means: dict[str, dict[str, float]] = {}
    for (step, name), part in main_outputs(summary).groupby(["step", "name"]):
        means.setdefault(str(step), {})[str(name)] = round(float(part["test_accuracy"].mean()), 2)
    return means
