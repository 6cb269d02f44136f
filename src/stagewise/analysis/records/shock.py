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

from stagewise.analysis.records.study import Study, read_table

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
    stages = [column for column in log.columns if column.startswith("cka_")]
    return {
        "shock_ratio": float(early / late) if late > 0 else float("nan"),
        "probe_loss": float(start.iloc[0] - probe["probe_accuracy"].min())
        if len(start)
        else float("nan"),
        "displacement": _at(log, "displacement", WINDOW),
        "similarity": _at(log, stages[-1], WINDOW) if stages else float("nan"),
    }


def _at(log: pd.DataFrame, column: str, step: int) -> float:
    """A column at the last logged step up to ``step``; NaN where none was logged after 0."""
    known = log.loc[(log["step"] <= step) & (log["step"] > 0), ["step", column]].dropna()
    return float(known.sort_values("step")[column].iloc[-1]) if len(known) else float("nan")


def read_shock(study: Study, path: str) -> pd.DataFrame:
    """A run's shock log in step order."""
    required = ("step", "g_backbone", "displacement", "probe_accuracy")
    return read_table(study.folder(path) / "shock.csv", required).sort_values("step")


def shock_runs(study: Study) -> pd.DataFrame:
    """The runs that log the shock: those with a ``shock.csv``."""
    logged = [(study.folder(path) / "shock.csv").is_file() for path in study.runs["path"]]
    return study.runs[logged]


def shock_table(study: Study) -> pd.DataFrame:
    """A row per logging run: path, arm, seed, pair, display and the four quantities."""
    rows = []
    for run in shock_runs(study).itertuples():
        protocol = study.record(str(run.path))["protocol"]
        measures = shock_measures(
            read_shock(study, str(run.path)), int(protocol.get("steps_per_epoch", 1))
        )
        names = {c: getattr(run, c) for c in ("path", "arm", "seed", "pair", "display")}
        rows.append({**names, **measures})
    return pd.DataFrame(rows, columns=["path", "arm", "seed", "pair", "display", *MEASURES])
