"""The gradient shock's quantities by arm, beside what came of it."""

import pandas as pd

from stagewise.analysis.claims.contrasts import against_baseline
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import by_rate
from stagewise.analysis.records.shock import FALLS
from stagewise.analysis.tables.cells import costs, factor, interval, loss, named, spread
from stagewise.analysis.tables.table import Table

POSITION = 4
"""Place among the tables."""
FACTS = ["path", "task", "step", "weights", "diverged", "test_accuracy", "parameters", "macs"]
"""Columns of the summary that it needs."""


def make(results: Results) -> Table:
    """The gradient shock's quantities by arm, tuned arms first, then rate by rate."""
    main = results.main
    runs = results.shock.merge(main[FACTS], on="path")
    data, shown = [], []
    for part in by_rate(runs):
        data += part.drop(columns=["path", "task", "step"]).to_dict("records")
        shown.append(_row(part, main))
    return Table(
        "shock",
        "Gradient shock: ratios as geometric mean ×/÷ the factor of one sd, all else as mean ± sd "
        "(seeds). Steps count from the first at which the backbone may move. Start and peak: its "
        "gradient norm at step 0, and the largest over steps 0-20 (in brackets: the median step of "
        "it), over the median in the last tenth of the first max(1 epoch, 100) steps; update: the "
        "same of the largest step of its weights. Probe: accuracy of a linear probe on the "
        "features at step 0 minus that at steps 10, 50 and 100, points. Batch norm takes the "
        "probe's own statistics, in the columns named running its running ones, which lag behind. "
        "Rate: the tuned one of each network, or one that all share. Accuracy minus that of "
        "standard training, with its 95 % t interval, for the tuned ones. A run that diverged has "
        "an accuracy alone.",
        pd.DataFrame(data),
        pd.DataFrame(shown),
    )


def _row(part: pd.DataFrame, main: pd.DataFrame) -> dict[str, str]:
    """One arm's runs as text."""
    first = part.iloc[0]
    tuned = pd.isna(first["common_rate"])
    return {
        "Pair": first["pair"],
        "Network": named(part),
        "Rate": f"{first['lr']:g}, {'tuned' if tuned else 'common'}",
        "Loss": loss(first),
        "Start": factor(part["shock_start"]),
        "Peak": peak(part, ""),
        "Update": factor(part["update_peak"]),
        **{f"Probe at {step}": spread(part[f"probe_fall_{step}"]) for step in FALLS},
        "Displacement at 100": spread(part["displacement"], 2),
        "CKA at 100": spread(part["similarity"], 2),
        "Start, running": factor(part["shock_start_running"]),
        "Peak, running": peak(part, "_running"),
        **{
            f"Probe at {step}, running": spread(part[f"probe_fall_{step}_running"])
            for step in FALLS[:1]
        },
        "Test accuracy, %": spread(part["test_accuracy"]),
        "Minus baseline, points": interval(against_baseline(main, part)[1]) if tuned else "–",
        **costs(first),
    }


def peak(part: pd.DataFrame, kind: str) -> str:
    """``6.1 ×/÷ 1.2 (6) [17]``: the peak and its median step."""
    step = part[f"peak_step{kind}"].median()
    return factor(part[f"shock_peak{kind}"]) + ("" if pd.isna(step) else f" [{step:g}]")
