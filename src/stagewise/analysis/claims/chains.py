"""Chains of techniques: what made each network, what that took in training, and which networks lie
on the Pareto front, for each kind of cost (science §6.4)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from stagewise.analysis.claims.frontier import frontier, usable
from stagewise.analysis.claims.results import Results
from stagewise.analysis.records.labels import DENSE, RECOVERED, is_anew, pruned_student, shape
from stagewise.analysis.records.logits import ENSEMBLE, FINAL

COSTS = {
    "macs": "MACs",
    "parameters": "parameters",
    "file_bytes": "bytes",
    "milliseconds": "milliseconds",
}
"""Cost of an answer → its name."""
TAUGHT = ("distillation", "two_stage")
"""Steps of networks that are taught and not pruned: of these KD alone is a link of the chains."""


@dataclass(frozen=True)
class Front:
    """``arms``: those on the front of the means, the cheapest first. ``seeds``: arm with a known
    cost → on the front of how many of ``n`` seeds it is."""

    arms: list[str]
    seeds: dict[str, int]
    n: int


@dataclass(frozen=True)
class Chained:
    """The networks of one pair and task that chains of techniques make: ``rows``, a row per arm and
    seed, with ``milliseconds`` of one image alone, NaN where that was not measured."""

    pair: str
    task: str
    rows: pd.DataFrame

    def costs(self, kind: str) -> dict[str, float]:
        """Arm → its mean cost, where that is known."""
        known: pd.Series = self.rows.groupby("arm", sort=False)[kind].mean().dropna()
        return {str(arm): float(cost) for arm, cost in known.items()}

    def front(self, kind: str) -> Front:
        """The front of a cost; a teacher that serves all seeds is there in each."""
        costs = self.costs(kind)
        wide = self.rows.pivot_table(index="seed", columns="arm", values="test_accuracy")
        wide = wide[[arm for arm in wide if arm in costs]]
        single = wide.columns[wide.notna().sum() == 1]
        means, seeds = wide.mean(), wide.drop(columns=single).dropna(how="all").index
        wide = wide.reindex(seeds).fillna({arm: means[arm] for arm in single})
        found = dict.fromkeys(costs, 0)
        for _, accuracies in wide.iterrows():
            for arm in _front(accuracies, costs):
                found[arm] += 1
        return Front(_front(means, costs), found, len(wide))


def _front(accuracies: pd.Series, costs: Mapping[str, float]) -> list[str]:
    known = accuracies.dropna()
    return frontier({str(arm): (costs[str(arm)], float(value)) for arm, value in known.items()})


def chained(results: Results) -> Iterator[Chained]:
    """For each pair and task of which a network is pruned: its teacher, its students without and
    with KD, in one stage and in two, and all that came of pruning them and could be used."""
    rows = usable(results.main)
    member = ~rows["step"].isin([*TAUGHT, "multi_exit"])
    member |= rows["step"].isin(TAUGHT) & (rows["method"] == "kd")
    rows = rows[member & (rows["tuned_arm"] == "")]
    rows = rows.assign(milliseconds=rows["arm"].map(milliseconds(results.timed)).astype(float))
    for (pair, task), part in rows.groupby(["pair", "task"], sort=False):
        if (part["chain"] != "").any():
            yield Chained(str(pair), str(task), part)


def milliseconds(timed: pd.DataFrame) -> dict[str, float]:
    """Arm → milliseconds that the least batch takes, of the whole network."""
    alone = timed[(timed["batch"] == timed["batch"].min()) & timed["exit"].isin([FINAL, ENSEMBLE])]
    return {str(arm): float(ms) for arm, ms in alone.groupby("arm")["milliseconds"].mean().items()}


def links(run: pd.Series) -> str:
    """What made a network, from its first training on: ``two-stage student → l2 2× → KD``."""
    if run["step"] == "teachers":
        return "teacher"
    if run["chain"] == "":
        return str(run["display"])
    recovery, first = str(run["recovery"]), pruned_student(str(run["chain"]))
    if run["criterion"] == "dense":
        return f"{first} → {DENSE.get(recovery, recovery)}"
    return f"{first} → {shape(run)} → {RECOVERED.get(recovery, recovery)}"


def techniques(run: pd.Series) -> str:
    """Which of distillation, two stages and pruning a network has had."""
    prunes = run["criterion"] not in ("", "dense")
    stages = run["chain"] == "two_stage" or (run["recipe"] == "two_stage" and not prunes)
    taught = run["kd_weight"] > 0 or stages
    had = {"two stages" if stages else "distillation": taught, "pruning": prunes}
    return " and ".join(name for name, has in had.items() if has) or "none"


@dataclass(frozen=True)
class Effort:
    """Epochs of training, and multiply-adds of these, the teacher's answers among them; NaN where
    records are older than their count."""

    epochs: float
    macs: float


def efforts(results: Results, paths: Iterable[str]) -> dict[str, Effort]:
    """Path → what its network's training took from new weights on: its own, and that of every
    network whose weights it went on from. One of new weights in a pruned shape has its own alone,
    and what lies outside the study counts nothing."""
    main, parents = results.main.set_index("path"), _weights_from(results.study.runs)
    own = pd.DataFrame(
        {
            "epochs": pd.to_numeric(main["epochs"], errors="coerce"),
            "macs": main["training_macs"] + main["teacher_macs"],
        }
    )
    own[main["step"] == "pruning"] = 0.0
    found = {}
    for path in paths:
        line = [path]
        while parents.get(line[-1], path) not in line:
            line.append(parents[line[-1]])
        epochs, macs = own.loc[line].sum(skipna=False)
        found[path] = Effort(float(epochs), float(macs))
    return found


def _weights_from(runs: pd.DataFrame) -> dict[str, str]:
    """Path of a run → that of the run of the study whose weights it goes on from."""
    known = {*runs["path"]}
    return {
        run["path"]: run["parents"]["init"]
        for run in runs.to_dict("records")
        if run["parents"].get("init") in known and not is_anew(run["recovery"])
    }
