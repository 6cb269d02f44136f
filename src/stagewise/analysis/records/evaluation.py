"""All metrics of all runs of a study, from their stored logits; no network is loaded."""

from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stagewise.analysis.records import metrics
from stagewise.analysis.records.agreement import refuse_others
from stagewise.analysis.records.logits import ENSEMBLE, FINAL, Logits, output_names
from stagewise.analysis.records.study import Study
from stagewise.errors import UserError

Splits = dict[str, Logits]
Costs = dict[str, dict[str, float]]
COSTS = ("parameters", "macs", "cumulative_macs")


def evaluate(study: Study) -> pd.DataFrame:
    """A row per run, exit ("1" … "K" and "ensemble", or "final") and split of the study; a run that
    answers with a partner has the rows "final" and "ensemble", of which the latter is both runs'.

    Columns: path, arm, seed, exit, split, the metrics, parameters, macs, cumulative_macs,
    file_bytes.

    Raises:
        UserError: a record or logits file is missing or broken, or does not fit its teacher's or
            partner's; records are not what the plan says.
    """
    refuse_others(study)
    bins = study.config["evaluation"]["ece_bins"]

    @lru_cache(maxsize=64)  # a teacher serves many runs
    def other(path: str) -> Splits:
        return study.files(path).logits(*study.splits)

    rows = []
    for run in study.runs.to_dict("records"):
        path = str(run["path"])
        splits = study.files(path).logits(*study.splits)
        costs = _costs(study, path, len(splits["test"].logits))
        teacher = other(run["reference"]) if run["reference"] else None
        partner = other(run["partner"]) if run["partner"] else None
        if partner:
            costs = _with_both(_costs(study, path, 1), _costs(study, run["partner"], 1))
        for split in study.splits:
            own = splits[split]
            target = _last(study, path, teacher[split], own, "teacher") if teacher else None
            outputs = own.outputs
            if partner:
                both = [own.logits[-1], _last(study, path, partner[split], own, "partner")]
                outputs.append(metrics.ensemble(np.stack(both)))
            for name, logits in zip(costs, outputs, strict=True):
                rows.append(
                    {
                        "path": path,
                        "arm": run["arm"],
                        "seed": run["seed"],
                        "exit": name,
                        "split": split,
                        **metrics.all_metrics(logits, own.labels, target, bins),
                        **costs[name],
                    }
                )
    return pd.DataFrame(rows)


def _costs(study: Study, path: str, exits: int) -> Costs:
    """Output to its ``COSTS``, in the order of the outputs."""
    record, names = study.files(path).record, output_names(exits)
    costs = record.costs
    if set(costs) != set(names):
        raise UserError(
            f"{study.folder(path)}: record.json has costs of exits {sorted(costs)}, logits.npz "
            f"has {names}; delete the folder and run again"
        )
    kept = {name: {cost: costs[name][cost] for cost in COSTS} for name in names}
    return {name: {**of, "file_bytes": record.file_bytes} for name, of in kept.items()}


def _with_both(own: Costs, partner: Costs) -> Costs:
    """The costs of a network with one exit, and what it and another such take together."""
    first, second = own[FINAL], partner[FINAL]
    return {**own, ENSEMBLE: {name: first[name] + second[name] for name in first}}


def _last(study: Study, path: str, other: Logits, own: Logits, role: str) -> NDArray[np.float32]:
    """The final exit of another run, checked to be about the same images."""
    same_classes = other.logits.shape[2] == own.logits.shape[2]
    if not (same_classes and np.array_equal(other.labels, own.labels)):
        raise UserError(
            f"{study.folder(path)}: its images or classes are not those of its {role}; "
            "delete the older of the two and run again"
        )
    return np.asarray(other.logits[-1])
