"""How the cells of tables are written: numbers with their spread, costs, losses."""

from typing import Any

import numpy as np
import pandas as pd

from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.statistics import Paired

TRAINING_MACS = (
    "Training MACs: convolutions and matrix products of all training steps, forward and backward, "
    "the method's own layers and the teacher's answers among them; not the training of the teacher "
    "or of a part of it, nor pretraining."
)
"""What captions say of ``training_cost``."""


def plus_minus(mean: float, sd: float, n: float, digits: int = 1) -> str:
    """``mean ± sd (n)``, as far as these are known; a dash where there is no mean."""
    if not np.isfinite(mean):
        return "–"
    parts = [number(mean, digits, signed=False)]
    parts += [f"± {sd:.{digits}f}"] if np.isfinite(sd) else []
    parts += [f"({n:.0f})"] if np.isfinite(n) else []
    return " ".join(parts)


def spread(values: pd.Series, digits: int = 1) -> str:
    """``mean ± sd (n)`` of the values that are known."""
    return plus_minus(values.mean(), values.std(), values.count(), digits)


def factor(values: pd.Series) -> str:
    """``4.2 ×/÷ 1.30 (6)``: geometric mean of the known, positive values, with two digits that
    count, the factor that their logarithm's sd is, and how many there are; a dash where none is."""
    known = np.log(values[values > 0])
    if known.empty:
        return "–"
    mean = np.exp(known.mean())
    digits = max(0, 1 - int(np.floor(np.log10(mean))))
    around = f" ×/÷ {np.exp(known.std()):.2f}" if len(known) > 1 else ""
    return f"{mean:.{digits}f}{around} ({len(known)})"


def interval(effect: Paired, digits: int = 1) -> str:
    """``+1.2 [+0.3, +2.1]``; a dash where there is no effect, no bracket where no interval."""
    if not np.isfinite(effect.mean):
        return "–"
    if not np.isfinite(effect.low):
        return number(effect.mean, digits)
    low, high = number(effect.low, digits), number(effect.high, digits)
    return f"{number(effect.mean, digits)} [{low}, {high}]"


def times(effect: Paired) -> str:
    """``×0.84 [0.71, 0.99]`` of an effect that is a difference of natural logarithms; a dash where
    there is no effect, no bracket where no interval."""
    if not np.isfinite(effect.mean):
        return "–"
    mean, low, high = (
        number(float(np.exp(value)), signed=False)
        for value in (effect.mean, effect.low, effect.high)
    )
    return f"×{mean} [{low}, {high}]" if np.isfinite(effect.low) else f"×{mean}"


def level(effect: Paired, digits: int = 1) -> str:
    """``[87.2, 89.0]``: the interval of what has no sign; a dash where there is none."""
    if not np.isfinite(effect.low):
        return "–"
    low, high = (number(end, digits, signed=False) for end in (effect.low, effect.high))
    return f"[{low}, {high}]"


def count(value: float) -> str:
    """A number of parameters or MACs: 1,234, 56.7 k, 8.9 M, 1.2 G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.{0 if value >= 100 * size else 1}f} {letter}"
    return f"{value:.0f}"


def counts(values: pd.Series) -> str:
    """``43.6 k (31.0 k to 60.2 k)``: the mean, and the range where seeds differ, as pruned shapes
    do."""
    least, most = values.min(), values.max()
    around = f" ({count(least)} to {count(most)})" if count(least) != count(most) else ""
    return count(values.mean()) + around


def recorded(macs: float) -> str:
    """A count that older records lack."""
    return count(macs) if macs == macs else "not recorded"


def costs(row: pd.Series | dict[Any, Any]) -> dict[str, str]:
    """Parameters and MACs of a row as text, as every table shows them."""
    return {"Parameters": count(row["parameters"]), "MACs": count(row["macs"])}


def training_cost(relative: float) -> dict[str, str]:
    """Training multiply-adds in units of plain KD's as text, as every table of methods shows them;
    a dash where they are not known."""
    return {"Training MACs, × KD": f"{relative:.2f}" if np.isfinite(relative) else "–"}


def named(part: pd.DataFrame) -> str:
    """What an arm's runs are called: ``frozen BN; 6 of 6 diverged``, where some did."""
    name, diverged = str(part["display"].iloc[0]), int(part["diverged"].sum())
    return f"{name}; {diverged} of {len(part)} diverged" if diverged else name


def loss(row: pd.Series) -> str:
    """The weights of a row's loss terms, which tell "method" from "method + KD"; a dash where
    nothing was trained."""
    return row["weights"] or "–"


def difference_columns(effect: Paired) -> dict[str, float]:
    """The columns of a paired difference in a table's data."""
    return {"difference": effect.mean, "low": effect.low, "high": effect.high}
