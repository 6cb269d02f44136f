"""The gradient shock in numbers, from ``shock.csv`` (science §2.3).

Step 0 is the first step at which the backbone is trainable.

- ``shock_ratio``: largest backbone gradient norm over steps 0-20, over its median in the last
  tenth of the first max(1 epoch, 100) steps.
- ``probe_loss``: largest fall of the linear probe's accuracy below step 0, points (never < 0,
  as step 0 is among the steps).
- ``displacement``: relative distance of the backbone's weights from step 0, at step 100.
- ``similarity``: linear CKA of the deepest stage's features to step 0, at step 100.
"""

import pandas as pd

from stagewise.analysis.records.study import Study

MEASURES = ("shock_ratio", "probe_loss", "displacement", "similarity")
EARLY, WINDOW = 20, 100


def shock_measures(log: pd.DataFrame, steps_per_epoch: int = 1) -> dict[str, float]:
    """The four quantities of one run; NaN where the log has no row to take one from."""
    window = max(steps_per_epoch, WINDOW)
    step = log["step"]
    early = log.loc[step <= EARLY, "g_backbone"].max()
    late = log.loc[(step >= 0.9 * window) & (step <= window), "g_backbone"].median()
    probe = log[["step", "probe_accuracy"]].dropna()
    start = probe.loc[probe["step"] == 0, "probe_accuracy"]
    return {
        "shock_ratio": float(early / late) if late > 0 else float("nan"),
        "probe_loss": float(start.iloc[0] - probe["probe_accuracy"].min())
        if len(start)
        else float("nan"),
        "displacement": _at(WINDOW, step, log["displacement"]),
        "similarity": _at(WINDOW, step, deepest_similarity(log)),
    }


def deepest_similarity(log: pd.DataFrame) -> pd.Series:
    """Linear CKA of the deepest stage that was logged, by row; NaN where none was."""
    stages = [column for column in log.columns if column.startswith("cka_")]
    return log[stages[-1]] if stages else pd.Series(float("nan"), log.index)


def _at(last: int, steps: pd.Series, values: pd.Series) -> float:
    """A value at the last logged step up to ``last``; NaN where none was logged after 0."""
    known = values.set_axis(steps).dropna().sort_index().loc[1:last]
    return float(known.iloc[-1]) if len(known) else float("nan")


def shock_runs(study: Study) -> pd.DataFrame:
    """The runs of the plan that logged the shock."""
    return study.runs[[study.files(path).logs_shock for path in study.runs["path"]]]


def shock_table(study: Study) -> pd.DataFrame:
    """A row per logging run: path, arm, seed, pair, display and the four quantities."""
    rows = []
    for run in shock_runs(study).itertuples():
        files = study.files(str(run.path))
        steps = int(files.record.protocol.get("steps_per_epoch", 1))
        names = {c: getattr(run, c) for c in ("path", "arm", "seed", "pair", "display")}
        rows.append({**names, **shock_measures(files.shock, steps)})
    return pd.DataFrame(rows, columns=["path", "arm", "seed", "pair", "display", *MEASURES])
