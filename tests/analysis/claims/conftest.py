"""Made-up results: values by arm, without files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import LABELS
from stagewise.analysis.records.study import Study

Values = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Made(Results):
    """Results whose shock was made up, too."""

    made_shock: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def shock(self) -> pd.DataFrame:
        return self.made_shock


def made_results(
    accuracy: Values,
    shock: Mapping[str, Values] | None = None,
    validation: Mapping[str, float] | None = None,
    parents: Mapping[str, Mapping[str, str]] | None = None,
    **config: Any,
) -> Results:
    """``accuracy``: arm → test accuracy by seed 0, 1, …, None where a run has none; an arm's name
    may end in ``:exit``. ``shock``: measure → the same. ``validation``: arm → mean validation
    accuracy; without it no images are held out. ``parents``: arm → role → path, ``{seed}`` in it.
    """
    names = {name.partition(":")[0] for name in accuracy}
    names |= {arm for values in (shock or {}).values() for arm in values}
    lengths = {name.partition(":")[0]: len(values) for name, values in accuracy.items()}
    lengths |= {arm: len(v) for values in (shock or {}).values() for arm, v in values.items()}
    runs, rows = [], []
    for arm in sorted(names):
        step, _, name = arm.partition("/")
        for seed in range(lengths[arm]):
            own = {
                role: path.format(seed=seed) for role, path in (parents or {}).get(arm, {}).items()
            }
            labels = {**LABELS, "pair": name.partition(".")[0]}
            path = f"runs/made/{arm}/seed-{seed}"
            runs.append({"path": path, "arm": arm, "step": step, "name": name, "seed": seed})
            runs[-1] |= {"parents": own, "reference": "", "partner": "", **labels}
            for key, values in accuracy.items():
                of, _, output = key.partition(":")
                if of == arm and values[seed] is not None:
                    told = (validation or {}).get(arm, np.nan)
                    rows.append((path, arm, seed, output or "final", values[seed], told))
    table = pd.DataFrame(runs)
    summary = pd.DataFrame(
        rows, columns=["path", "arm", "seed", "exit", "test_accuracy", "validation_accuracy"]
    )
    logged = table[["path", "arm", "seed"]].copy()
    for measure, by_arm in (shock or {}).items():
        cells = zip(logged["arm"], logged["seed"], strict=True)
        found = [by_arm[arm][seed] if arm in by_arm else None for arm, seed in cells]
        logged[measure] = pd.Series(found, dtype=float)
    logged = logged[
        [any(arm in values for values in (shock or {}).values()) for arm in logged["arm"]]
    ]
    settings = {
        "pairs": {pair: {} for pair in dict.fromkeys(table["pair"])},
        "seeds": list(range(max(lengths.values()))),
        "data": {"source": "made", "validation": 0.1 if validation else 0},
        "gate": {"points": 4},
        "claims_tested": [],
        **config,
    }
    return Made(Study("made", "made", settings, table, Path("made")), summary, made_shock=logged)


@pytest.fixture
def made() -> Callable[..., Results]:
    """``made_results``."""
    return made_results
