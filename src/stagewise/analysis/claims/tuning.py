"""Learning rates from a tuning study: per arm the best on validation, never on test."""

import pandas as pd

from stagewise.analysis.records.study import Study
from stagewise.analysis.records.summary import main_outputs
from stagewise.errors import UserError

COLUMNS = ["arm", "rate", "n", "validation_accuracy", "validation_nll", "chosen"]


def choose_rates(study: Study, evaluation: pd.DataFrame) -> pd.DataFrame:
    """A row per tuned arm and rate: n, mean validation accuracy and NLL, whether it is chosen.

    The best mean accuracy of the main exit wins; equal ones go to the lower NLL, then to the lower
    rate. A diverged run (NaN NLL) counts with its accuracy; a rate that lacks a run, because that
    failed, is left out.

    Raises:
        UserError: the study is no tuning study, or a run was not evaluated, or no rate has all.
    """
    tuned = study.runs[study.runs["tuned_arm"] != ""]
    if tuned.empty and not study.missing:
        raise UserError(f"{study.name}: no tuning study; its config needs 'tune: rates: [...]'")
    whole = tuned[~tuned["arm"].isin([run.arm for run in study.missing])]
    if whole.empty:
        raise UserError(f"{study.name}: every rate lacks a run that failed; try other rates")
    runs = whole[["path", "tuned_arm", "rate"]]
    validation = evaluation[evaluation["split"] == "validation"]
    main = main_outputs(validation)
    missing = runs.loc[~runs["path"].isin(main["path"]), "path"]
    if len(missing):  # rates judged on different seeds would not be comparable
        raise UserError(f"{missing.iloc[0]}: not in the evaluation; evaluate the whole study again")
    table = (
        runs.merge(main[["path", "accuracy", "nll"]], on="path")
        .groupby(["tuned_arm", "rate"], sort=False)
        .agg(
            n=("accuracy", "size"),
            validation_accuracy=("accuracy", "mean"),
            validation_nll=("nll", "mean"),
        )
        .reset_index()
        .rename(columns={"tuned_arm": "arm"})
    )
    # Means of equal counts may differ in the last bit; a tie is meant to be a tie.
    table["validation_accuracy"] = table["validation_accuracy"].round(9)
    ranked = table.sort_values(
        ["validation_accuracy", "validation_nll", "rate"], ascending=[False, True, True]
    )
    best = ranked.drop_duplicates("arm").index
    table["chosen"] = table.index.isin(best)
    return table[COLUMNS]


def at_the_edge(table: pd.DataFrame) -> list[str]:
    """Arms whose chosen rate is the least or the largest tried: their best may lie beyond."""
    ends = {table["rate"].min(), table["rate"].max()}
    return [str(arm) for arm in table.loc[table["chosen"] & table["rate"].isin(ends), "arm"]]


def rates_yaml(table: pd.DataFrame) -> str:
    """The chosen rates as a ``learning_rates:`` block to paste into a config."""
    chosen = table[table["chosen"]]
    lines = [f"  {row.arm}: {row.rate:g}" for row in chosen.itertuples()]
    return "\n".join(["learning_rates:", *lines]) + "\n"
