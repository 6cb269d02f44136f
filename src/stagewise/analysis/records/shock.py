"""The gradient shock in numbers, from ``shock.csv`` (science §2.3).

Step 0 is the first step at which the backbone is trainable.

- ``shock_start``, ``shock_peak``: the backbone's gradient norm at step 0, and its largest over
  steps 0-20, each over its median in the last tenth of the first max(1 epoch, 100) steps.
- ``update_peak``: the same of the applied update.
- ``probe_fall_10``, ``_50``, ``_100``: fall of the linear probe's accuracy below step 0, points.
- ``displacement``: relative distance of the backbone's weights from step 0, at step 100.
- ``similarity``: linear CKA of the deepest stage's features to step 0, at step 100.

All by the probe's own batch-norm statistics; those with ``_running`` by the running ones, which lag
behind weights that move. Older logs have the running ones alone.
"""

import pandas as pd

from stagewise.analysis.records.study import Study

EARLY, WINDOW = 20, 100
FALLS = (10, 50, 100)
KINDS = {"": "_batch", "_running": ""}
"""Suffix of a measure → suffix of the log's columns."""
MEASURES = (
    *(f"{name}{kind}" for kind in KINDS for name in ("shock_start", "shock_peak")),
    *(f"probe_fall_{step}{kind}" for kind in KINDS for step in FALLS),
    *("update_peak", "displacement", "similarity", "similarity_running"),
)


def shock_measures(log: pd.DataFrame, steps_per_epoch: int = 1) -> dict[str, float]:
    """The quantities of one run; NaN where the log has no row or column to take one from."""
    window = max(steps_per_epoch, WINDOW)
    found: dict[str, float] = {}
    for kind, column in KINDS.items():
        start, peak = _ratios(log, f"g_backbone{column}", window)
        found |= {f"shock_start{kind}": start, f"shock_peak{kind}": peak}
        probe = (
            log.reindex(columns=["step", f"probe_accuracy{column}"]).set_index("step").iloc[:, 0]
        )
        for step in FALLS:
            ends = [float(probe.get(at, float("nan"))) for at in (0, step)]
            found[f"probe_fall_{step}{kind}"] = ends[0] - ends[1]
        found[f"similarity{kind}"] = _at(WINDOW, log["step"], deepest_similarity(log, column))
    found["update_peak"] = _ratios(log, "update", window)[1]
    found["displacement"] = _at(WINDOW, log["step"], log["displacement"])
    return found


def _ratios(log: pd.DataFrame, column: str, window: int) -> tuple[float, float]:
    """A column at step 0, and its largest early value, over its late median."""
    if column not in log:
        return float("nan"), float("nan")
    step = log["step"]
    late = log.loc[(step >= 0.9 * window) & (step <= window), column].median()
    early = log.loc[step <= EARLY, column]
    if not late > 0 or early.empty:
        return float("nan"), float("nan")
    return float(early.iloc[0] / late), float(early.max() / late)


def deepest_similarity(log: pd.DataFrame, kind: str = "") -> pd.Series:
    """Linear CKA of the deepest stage that was logged, by row; NaN where none was."""
    cka = [column for column in log.columns if column.startswith("cka_")]
    stages = [column for column in cka if column.endswith("_batch") == bool(kind)]
    return log[stages[-1]] if stages else pd.Series(float("nan"), log.index)


def _at(last: int, steps: pd.Series, values: pd.Series) -> float:
    """A value at the last logged step up to ``last``; NaN where none was logged after 0."""
    known = values.set_axis(steps).dropna().sort_index().loc[1:last]
    return float(known.iloc[-1]) if len(known) else float("nan")


def shock_runs(study: Study) -> pd.DataFrame:
    """The runs of the plan that logged the shock."""
    return study.runs[[study.files(path).logs_shock for path in study.runs["path"]]]


def shock_table(study: Study) -> pd.DataFrame:
    """A row per logging run: path, arm, seed, pair, display and its quantities."""
    rows = []
    for run in shock_runs(study).itertuples():
        files = study.files(str(run.path))
        steps = int(files.record.protocol.get("steps_per_epoch", 1))
        names = {c: getattr(run, c) for c in ("path", "arm", "seed", "pair", "display")}
        rows.append({**names, **shock_measures(files.shock, steps)})
    return pd.DataFrame(rows, columns=["path", "arm", "seed", "pair", "display", *MEASURES])
