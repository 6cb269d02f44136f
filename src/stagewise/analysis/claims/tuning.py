"""Learning rates and loss weights from a tuning study: per arm the best on validation, never on
test."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import yaml

from stagewise.analysis.records.study import Study
from stagewise.analysis.records.summary import main_outputs
from stagewise.errors import UserError

TUNED = ["rate", "stage1_rate", "strength"]
"""What is tuned: the learning rate, in two stages that of the first, and the factor of the loss
weights; NaN where an arm has none or was not tried with several."""
COLUMNS = ["arm", *TUNED, "n", "validation_accuracy", "validation_nll", "chosen"]
WIDER = {"rate": "rates", "stage1_rate": "stage1_rates", "strength": "strengths"}
"""Column to the key of ``tune.wider`` that takes further values."""
LIMITS = {"rate": (1e-5, 10.0), "stage1_rate": (1e-5, 10.0), "strength": (1e-4, 1e4)}
"""Values beyond these are not tried: no edge is widened past them."""


def choose_rates(study: Study, evaluation: pd.DataFrame) -> pd.DataFrame:
    """A row per tuned arm and values: n, mean validation accuracy and NLL, whether it is chosen.

    The best mean accuracy of the main exit wins; equal ones go to the lower NLL, then to the lower
    rate, rate of stage 1 and strength. A diverged run (NaN NLL) counts with its accuracy;
    rates that lack a run, because that failed, are left out.

    Raises:
        UserError: the study is no tuning study, or a run was not evaluated, or no rate has all.
    """
    tuned = study.runs[study.runs["tuned_arm"] != ""]
    if tuned.empty and not study.missing:
        raise UserError(f"{study.name}: no tuning study; its config needs 'tune: rates: [...]'")
    whole = tuned[~tuned["arm"].isin([run.arm for run in study.missing])]
    if whole.empty:
        raise UserError(f"{study.name}: every rate lacks a run that failed; try other rates")
    runs = whole[["path", "tuned_arm", *TUNED]]
    validation = evaluation[evaluation["split"] == "validation"]
    main = main_outputs(validation)
    missing = runs.loc[~runs["path"].isin(main["path"]), "path"]
    if len(missing):  # rates judged on different seeds would not be comparable
        raise UserError(f"{missing.iloc[0]}: not in the evaluation; evaluate the whole study again")
    table = (
        runs.merge(main[["path", "accuracy", "nll"]], on="path")
        .groupby(["tuned_arm", *TUNED], sort=False, dropna=False)
        .agg(
            n=("accuracy", "size"),
            validation_accuracy=("accuracy", "mean"),
            validation_nll=("nll", lambda values: values.mean(skipna=False)),
        )
        .reset_index()
        .rename(columns={"tuned_arm": "arm"})
    )
    # Means of equal counts may differ in the last bit; a tie is meant to be a tie.
    table["validation_accuracy"] = table["validation_accuracy"].round(9)
    order = {"validation_accuracy": False, "validation_nll": True, **dict.fromkeys(TUNED, True)}
    ranked = table.sort_values([*order], ascending=[*order.values()])
    best = ranked.drop_duplicates("arm").index
    table["chosen"] = table.index.isin(best)
    return table[COLUMNS]


def at_the_edge(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Arm → tuned column → a further rate to try, where the arm's chosen rate is the least or the
    largest that it tried: its best may lie beyond."""
    found: dict[str, dict[str, float]] = {}
    for arm, part in table.groupby("arm", sort=False):
        for column in TUNED:
            further = _further(part, column)
            if further is not None:
                found.setdefault(str(arm), {})[column] = further
    return found


def _further(part: pd.DataFrame, column: str) -> float | None:
    """A rate as far beyond the edge as the edge is from its neighbour; None where the chosen one
    lies inside, or at the end of what is sensible."""
    tried = sorted({float(rate) for rate in part[column].dropna()})
    [chosen] = part.loc[part["chosen"], column]
    if len(tried) < 2 or chosen not in (tried[0], tried[-1]):
        return None
    edge, neighbour = tried[:2] if chosen == tried[0] else tried[:-3:-1]
    further = float(f"{edge * edge / neighbour:.2g}")
    least, most = LIMITS[column]
    return further if least <= further <= most and further not in tried else None


def rates_yaml(table: pd.DataFrame) -> str:
    """What was chosen as blocks to paste into a config."""
    chosen = table[table["chosen"]].set_index("arm")
    lines = ["learning_rates:", *_block(chosen["rate"])]
    for column in TUNED[1:]:
        if (values := chosen[column].dropna()).size:
            lines += [f"{WIDER[column]}:", *_block(values)]
    return "\n".join(lines) + "\n"


def _block(rates: pd.Series) -> Iterator[str]:
    return (f"  {arm}: {rate:g}" for arm, rate in rates.items())


def wider_yaml(table: pd.DataFrame, given: dict[str, Any]) -> str:
    """A config to lay over the tuning study's: every further rate that its ``tune.wider`` has
    (``given``) or that an edge asks for."""
    wider = {arm: {key: [*rates] for key, rates in entry.items()} for arm, entry in given.items()}
    for arm, edges in at_the_edge(table).items():
        for column, rate in edges.items():
            wider.setdefault(arm, {}).setdefault(WIDER[column], []).append(rate)
    return str(yaml.safe_dump({"tune": {"wider": wider}}, sort_keys=False))
