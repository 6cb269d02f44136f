"""The gradient shock in numbers, from ``shock.csv`` (science §2.3).

Step 0 is the first at which the backbone may move. "Late" is a quantity's median in the last tenth
of the first max(1 epoch, 100) steps, up to where a next phase begins, if one does there. Batch norm
takes the statistics of the probe itself; what ends in ``_running`` is the same under its running
ones, which lag behind weights that move. Logs of before the columns of the former have the latter
alone.

- ``shock_start``, ``shock_peak``: backbone gradient norm at step 0, and the largest over steps
  0-20, over late; ``peak_step``: the step of the largest.
- ``update_peak``: largest step of the backbone's weights over steps 0-20, over late: what the rate
  and momentum make of the gradients.
- ``probe_fall_10``, ``_50``, ``_100``: accuracy of the linear probe at step 0 minus that at the
  step, points; negative where features became better.
- ``displacement``: relative distance of the backbone's weights from step 0, at step 100.
- ``similarity``: linear CKA of the deepest stage's features to step 0, at step 100.
"""

from typing import Literal, NamedTuple

import pandas as pd

from stagewise.analysis.records.study import Study

NAN = float("nan")
EARLY, WINDOW = 20, 100
FALLS = (10, 50, 100)
"""Steps at which the probe is compared with step 0."""
BATCH = "_batch"
"""Suffix of a log's columns under the statistics of the probe."""
RUNNING = "_running"
"""Suffix of measures under the running statistics."""


class Measure(NamedTuple):
    """``name``: for readers. ``unit``: a ``ratio`` is positive, and analysed by its logarithm."""

    name: str
    unit: Literal["ratio", "points", "relative", "steps"]


_BOTH = {
    "shock_start": Measure("gradient at step 0", "ratio"),
    "shock_peak": Measure("gradient peak", "ratio"),
    "peak_step": Measure("step of the gradient peak", "steps"),
    **{f"probe_fall_{s}": Measure(f"fall of the probe at step {s}", "points") for s in FALLS},
    "similarity": Measure("CKA at step 100", "relative"),
}
MEASURES = {
    **_BOTH,
    "update_peak": Measure("update peak", "ratio"),
    "displacement": Measure("displacement at step 100", "relative"),
    **{
        f"{measure}{RUNNING}": Measure(f"{name} (running statistics)", unit)
        for measure, (name, unit) in _BOTH.items()
    },
}
"""What is measured of a run's shock."""


def shock_measures(log: pd.DataFrame, steps_per_epoch: int = 1) -> dict[str, float]:
    """``MEASURES`` of one run; NaN where the log has no column or no row to take one from."""
    late = _late_steps(log, max(steps_per_epoch, WINDOW))
    update, _ = _peak(column(log, "update"), late)
    running = _measures(log, "", late).items()
    return {
        **_measures(log, BATCH, late),
        "update_peak": update,
        "displacement": _last(column(log, "displacement")),
        **{f"{measure}{RUNNING}": value for measure, value in running},
    }


def _late_steps(log: pd.DataFrame, window: int) -> tuple[int, int]:
    """The first and last of the late steps: of one phase, as another's beginning may be a shock of
    its own."""
    rows = log[(log["step"] >= 0.9 * window) & (log["step"] <= window)].sort_values("step")
    if rows.empty:
        return window, window
    other = rows[rows["phase"] != rows["phase"].iloc[0]] if "phase" in rows else rows.iloc[:0]
    last = int(other["step"].min()) - 1 if len(other) else window
    return int(rows["step"].iloc[0]), last


def _measures(log: pd.DataFrame, kind: str, late: tuple[int, int]) -> dict[str, float]:
    """What is measured under each kind of statistics; ``kind``: the suffix of its columns."""
    gradient, probe = column(log, f"g_backbone{kind}"), column(log, f"probe_accuracy{kind}")
    peak, step = _peak(gradient, late)
    falls = {f"probe_fall_{at}": _at(probe, 0) - _at(probe, at) for at in FALLS}
    return {
        "shock_start": _over(_at(gradient, 0), _late(gradient, late)),
        "shock_peak": peak,
        "peak_step": step,
        **falls,
        "similarity": _last(deepest_similarity(log, kind)),
    }


def column(log: pd.DataFrame, name: str) -> pd.Series:
    """Step → value of a column, where it was logged; empty where the log has no such column."""
    values = log[name] if name in log else pd.Series(NAN, log.index)
    known = pd.to_numeric(values, errors="coerce").astype(float).set_axis(log["step"])
    known = known.dropna().sort_index()
    return known[~known.index.duplicated()]


def deepest_similarity(log: pd.DataFrame, kind: str = BATCH) -> pd.Series:
    """Step → linear CKA of the deepest stage that was logged; empty where none was.

    ``kind``: the suffix of the columns of a kind of statistics.
    """
    stages = [c for c in log.columns if c.startswith("cka_") and c.endswith(BATCH) == bool(kind)]
    return column(log, stages[-1] if stages else "")


def _at(values: pd.Series, step: int) -> float:
    """The value of this very step; NaN where it was not logged."""
    return float(values.loc[step]) if step in values.index else NAN


def _last(values: pd.Series) -> float:
    """The value of the last logged step up to 100; NaN where none was logged after 0."""
    known = values.loc[1:WINDOW]
    return float(known.iloc[-1]) if len(known) else NAN


def _late(values: pd.Series, late: tuple[int, int]) -> float:
    first, last = late
    return float(values.loc[first:last].median())


def _over(value: float, late: float) -> float:
    return value / late if late > 0 else NAN


def _peak(values: pd.Series, late: tuple[int, int]) -> tuple[float, float]:
    """The largest early value over the late ones, and its step."""
    early = values.loc[:EARLY]
    if early.empty:
        return NAN, NAN
    first = early.index.to_numpy(dtype=float)[early.to_numpy().argmax()]
    return _over(float(early.max()), _late(values, late)), float(first)


def shock_runs(study: Study, *, recovery: bool = False) -> pd.DataFrame:
    """The runs of the plan that logged the shock: those with a new classifier, or the pruned
    networks of ``recovery``, where none is new."""
    runs = study.runs[(study.runs["step"] == "recovery") == recovery]
    return runs[[study.files(path).logs_shock for path in runs["path"]]]


def shock_table(study: Study, *, recovery: bool = False) -> pd.DataFrame:
    """A row per logging run (``shock_runs``): path, arm, seed, pair, display, common_rate, lr and
    ``MEASURES``, of which a run that diverged has none."""
    told = ("path", "arm", "seed", "pair", "display", "common_rate")
    rows = []
    for run in shock_runs(study, recovery=recovery).itertuples():
        files = study.files(str(run.path))
        steps = int(files.record.protocol.get("steps_per_epoch", 1))
        lr = files.record.settings.lr
        names = {c: getattr(run, c) for c in told} | {"lr": NAN if lr is None else lr}
        log = files.shock.head(0) if files.diverged else files.shock
        rows.append({**names, **shock_measures(log, steps)})
    return pd.DataFrame(rows, columns=[*told, "lr", *MEASURES])
