"""Our order of the methods beside a published one.

Published are a pair's own networks, where they have their published size, or those that the
config's ``comparison.published`` names; of one source alone, as other sources have other protocols.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stagewise.analysis.claims.comparison import PairComparison, comparisons
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.orders import Correlation, spearman
from stagewise.analysis.claims.results import Results
from stagewise.analysis.tables.cells import TRAINING_MACS, costs, plus_minus, spread, training_cost
from stagewise.analysis.tables.comparison import relative_macs
from stagewise.analysis.tables.published import (
    AUDIT,
    PAPER_B,
    ROLES,
    full_size,
    method_identity,
)
from stagewise.analysis.tables.table import Table
from stagewise.papers.published_values import load_published_values

POSITION = 10
"""Place among the tables."""
LEAST = 2
"""Methods of which there is an order."""
PUBLISHED = ["value", "sd_published", "n_published", "protocol", "source"]


@dataclass(frozen=True)
class Order:
    """The compared methods of a pair that a source has, our best first.

    ``title``: whose published values they are. ``rows``: arm, mean, value, place and
    place_published (1 is best).
    """

    pair: PairComparison
    title: str
    source: str
    rows: pd.DataFrame
    correlation: Correlation

    @property
    def said(self) -> str:
        """The correlation in words."""
        found = self.correlation
        rho = number(found.rho)
        if found.rho != found.rho:
            return f"Spearman’s ρ is not computed of {found.n} methods"
        known = found.low == found.low
        interval = f", 95 % interval {number(found.low)} to {number(found.high)}" if known else ""
        return f"Spearman’s ρ {rho}{interval}, {found.n} methods"


def orders(results: Results) -> Iterator[Order]:
    """The pairs that have a published order."""
    for pair in comparisons(results):
        if pair.task != "all":
            continue
        order = _order(results, pair)
        if order:
            yield order


def _order(results: Results, pair: PairComparison) -> Order | None:
    config, published = results.study.config, load_published_values()
    given = config.get("comparison", {}).get("published", {}).get(pair.pair, {})
    networks = {role: given.get(role) or full_size(config, pair.pair, role) for role in ROLES}
    whole = not config["data"].get("classes")
    if None in networks.values() or not (given or whole):
        return None
    dataset = given.get("dataset") or config["data"]["source"]
    there = published["dataset"] == dataset
    for role in ROLES:
        there &= published[role] == networks[role]
    there &= published["source"].str.startswith(given.get("source", ""))
    rows = _matched(pair, config, published[there], {*published["method"]})
    if rows.empty:
        return None
    source = rows["source"].value_counts(sort=False).idxmax()
    rows = rows[rows["source"] == source].drop_duplicates("arm")
    if len(rows) < LEAST:
        return None
    places = rows[["mean", "value"]].rank(ascending=False, method="min").astype(int)
    rows = rows.assign(place=places["mean"], place_published=places["value"])
    title = f"{networks['teacher']} → {networks['student']}, {dataset}"
    return Order(pair, title, str(source), rows, spearman(rows["mean"], rows["value"]))


def _matched(
    pair: PairComparison, config: dict[str, Any], published: pd.DataFrame, methods: set[str]
) -> pd.DataFrame:
    """A row per arm, our best first, and published value of its method, KD or not, and exit."""
    found = []
    for arm in pair.arms:
        part = pair.part(arm)
        key = method_identity(part.iloc[0], config, methods)
        if key is None:
            continue
        same = published["plus_kd"].isna() | (published["plus_kd"] == key["plus_kd"])
        for column in ("method", "exit"):
            same &= published[column] == key[column]
        ours = {"arm": arm, "mean": part["test_accuracy"].mean()}
        values = published[same].rename(columns={"sd": "sd_published", "n": "n_published"})
        found += [{**ours, **row} for row in values[PUBLISHED].to_dict("records")]
    return pd.DataFrame(found, columns=["arm", "mean", *PUBLISHED])


def make(results: Results) -> Table:
    """A row per method, our best first."""
    data, shown, said, audit = [], [], [], ""
    for order in orders(results):
        audit = AUDIT if order.source.startswith(PAPER_B) else audit
        said.append(f"{order.pair.pair} beside {order.title} ({order.source}): {order.said}.")
        relative = relative_macs(order.pair)
        for row in order.rows.to_dict("records"):
            part = order.pair.part(row["arm"])
            first = part.iloc[0]
            data.append(
                {
                    **first[["pair", "arm", "method", "weights"]],
                    **row,
                    "title": order.title,
                    "training_macs_to_kd": relative[row["arm"]],
                    "rho": order.correlation.rho,
                    "rho_low": order.correlation.low,
                    "rho_high": order.correlation.high,
                }
            )
            shown.append(
                {
                    "Pair": order.pair.pair,
                    "Method": order.pair.names[row["arm"]],
                    "Ours, %": spread(part["test_accuracy"]),
                    "Published, %": plus_minus(
                        row["value"], row["sd_published"], row["n_published"], digits=2
                    ),
                    "Our place": row["place"],
                    "Published place": row["place_published"],
                    "Theirs": f"{order.title}, {row['protocol']}",
                    **training_cost(relative[row["arm"]]),
                    **costs(first),
                }
            )
    return Table(
        "order",
        " ".join(
            [
                "Our order of the methods beside a published one: values of one source, of the "
                "same method, KD or not, and exit. The interval of Spearman’s ρ is over methods "
                "(Bonett–Wright); the noise of the published values is not in it.",
                *said,
                *([audit] if audit else []),
                TRAINING_MACS,
            ]
        ),
        pd.DataFrame(data),
        pd.DataFrame(shown),
        empty="No published order is beside a pair with at least three methods.",
    )
