"""The answer of a study: what to do, made by rule from the numbers of its tables.

**Method.** In each pair and task KD is advised where it is shown to beat the student alone (p of
its family at most 0.05), unless another method is shown to beat KD; then the best of these. Without
KD, the best of those shown to beat the student alone. **Pruning.** The smallest shape whose best
recovery lies at most one point below its fair opponent is advised, else the largest shape, with its
price. The opponent is the dense student with the same KD; of new weights that with KD in all
epochs, where a study has it. What is best and what lies near is chosen on validation images, where
there are any; what is told was measured on test images. **Nothing gained** is said of exits and of
two stages where none of theirs is shown to beat KD.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

import pandas as pd

from stagewise import catalogue
from stagewise.analysis.claims.numbers import number
from stagewise.analysis.claims.rules import MIN_SEEDS
from stagewise.analysis.claims.statistics import ALPHA, critical
from stagewise.analysis.records.labels import OTHER_CHAINS, TASKS, is_anew
from stagewise.analysis.records.logits import ENSEMBLE, FINAL
from stagewise.analysis.tables.cells import count
from stagewise.analysis.tables.latency import disturbed

Frames = Mapping[str, pd.DataFrame]
"""Name of a table → its plain numbers, as in its CSV file."""
NEAR = 1.0
"""Points below the dense student that a smaller network may cost."""
MUCH = 1.5
"""Times the multiply-adds of KD's training from which a method's are told."""
MOST = 2
"""Pairs that the tiles tell of."""
WAYS = {
    "ce": "recover with the labels alone",
    "kd": "recover with KD",
    "two_stage_ce": "recover with the labels alone, in two stages",
    "two_stage_kd": "recover with two-stage KD",
    "two_stage_kd_bn": "estimate batch norm anew and recover with two-stage KD",
    "rewound_ce": "recover with the labels alone at a rewound rate",
    "rewound_kd": "recover with KD at a rewound rate",
    "self_kd": "recover with KD from the unpruned student",
    "scratch_ce": "train that shape from scratch with the labels alone",
    "scratch_ce_macs": "train that shape from scratch with the labels alone, for as long in MACs",
    "scratch_kd": "train that shape from scratch with KD",
}
"""Recovery that trains → what one does."""
GROUPS = {"multi_exit": "exits", "two_stage": "two stages"}
"""Step of arms that are more than a loss → what they have."""


@dataclass(frozen=True)
class Network:
    """A network that is advised: its pair, what it is, and its row of a table."""

    pair: str
    name: str
    row: pd.Series


@dataclass(frozen=True)
class Tile:
    """One of three numbers: what it is, and for each pair its name, the number, and what it stands
    beside."""

    heading: str
    lines: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Advice:
    """The answer in sentences, and the tiles."""

    sentences: list[str]
    tiles: list[Tile]


def advise(tables: Frames, pairs: list[str]) -> Advice:
    """What a study's tables (accuracy, pruning, comparison, latency) advise; ``pairs`` in their
    order."""
    several = len(pairs) > 1
    choices = [_choice(part) for part in _compared(tables)]
    pruned = [found for pair in pairs if (found := _pruned(tables["pruning"], pair))]
    sentences = [
        *_methods(choices, tables["accuracy"], several or _tasks_differ(choices, pruned)),
        *_prunings(pruned, several),
        *_in_vain(tables),
    ]
    seeds = [int(each.row["n"]) for each in pruned] + [each.seeds for each in choices]
    if seeds and min(seeds) < MIN_SEEDS:
        sentences.append(few_seeds(min(seeds)))
    if not sentences:
        sentences = ["This study compares no methods and prunes nothing: it has no advice."]
    networks = [*pruned]
    known = {network.pair for network in networks}
    networks += [
        network
        for choice in choices
        if choice.pair not in known and (network := choice.network(tables["accuracy"]))
    ]
    first = {network.pair: network for network in reversed(networks)}
    chosen = [first[pair] for pair in pairs if pair in first][:MOST]
    return Advice(sentences, _tiles(tables, chosen, several))


@dataclass(frozen=True)
class Choice:
    """What is advised in a pair on a task: an arm, empty where nothing is shown to help.

    ``name``: of the arm. ``gain``: its points over ``alone``. ``leader``: the name of the
    best mean, and ``lead`` its points, where nothing is shown.
    """

    pair: str
    task: str
    arm: str
    name: str
    gain: float
    leader: str
    lead: float
    seeds: int

    @property
    def where(self) -> str:
        """The pair, and its task where that is not the usual one."""
        return self.pair if self.task == "all" else f"{self.pair}, {TASKS[self.task]}"

    @property
    def alone(self) -> str:
        """The student that no teacher taught, as readers know it."""
        return "the student alone" if self.task == "all" else "standard training"

    def network(self, accuracy: pd.DataFrame) -> Network | None:
        """What stands for it: the arm, or the student alone; None where the table lacks it."""
        alone = "students/{}.baseline" if self.task == "all" else "students/{}.pretrained"
        arm = self.arm or alone.format(self.pair)
        rows = accuracy[accuracy["arm"] == arm]
        name = self.name or self.alone.removeprefix("the ")
        name += "" if self.task == "all" else f", {TASKS[self.task]}"
        return Network(self.pair, name, rows.iloc[0]) if len(rows) else None


def _tasks_differ(choices: list[Choice], pruned: list[Network]) -> bool:
    """Whether methods are advised on the target classes and pruned networks on all."""
    everywhere = any(network.row["chain"] not in OTHER_CHAINS for network in pruned)
    return everywhere and any(choice.task != "all" for choice in choices)


def method_name(row: pd.Series) -> str:
    """An arm's method as readers know it: as its table has it, or in older ones by its arm."""
    if "display" in row:
        return str(row["display"]).removeprefix("one-stage ")
    step, _, name = str(row["arm"]).partition("/")
    label = name.rsplit(".", maxsplit=1)[-1]
    if step == "two_stage" and ".one-stage." not in name:
        return f"two-stage {method_title(label)}"
    return method_title(label)


def method_title(label: str) -> str:
    """What tables call a label: as of the longest method that it begins with; else its words."""
    known = [name for name in catalogue.methods() if f"{label}_".startswith(f"{name}_")]
    if known:
        return catalogue.label_title(label, max(known, key=len))
    return label.replace("_", " ")


def _compared(tables: Frames) -> Iterator[pd.DataFrame]:
    """A frame per pair and task: arm, pair, task, mean, n, of its differences to KD and to the
    student alone (``kd``, ``baseline``) mean and adjusted p, and ``rank``, the accuracy that the
    best has most of: on validation images where all arms have one."""
    accuracy = tables["accuracy"]
    table = tables.get("comparison", pd.DataFrame())
    if table.empty or "task" not in table:
        table = _from_accuracy(accuracy)
    if table.empty:
        return
    known = accuracy.drop_duplicates("arm").set_index("arm").get("validation_mean")
    for _, part in table.groupby(["pair", "task"], sort=False):
        score = part["mean"] if known is None else part["arm"].map(known)
        yield part.assign(rank=score if score.notna().all() else part["mean"])


def _from_accuracy(accuracy: pd.DataFrame) -> pd.DataFrame:
    """The same of results that are older than the comparison: an interval that excludes zero counts
    as shown, and nothing is shown against KD."""
    steps = accuracy["arm"].str.partition("/")[0]
    taught = steps.isin(["distillation", "multi_exit", "two_stage"])
    shown = (accuracy["low"] > 0) | (accuracy["high"] < 0)
    found = accuracy.assign(baseline_mean=accuracy["difference"], kd_p_adjusted=1.0)
    found["baseline_p_adjusted"] = shown.map({True: 0.0, False: 1.0})
    for _, part in found.groupby(["pair", "task"], sort=False):
        plain = part.loc[part["arm"].map(_is_plain), "mean"]
        found.loc[part.index, "kd_mean"] = part["mean"] - (plain.iloc[0] if len(plain) else 0)
    return found[taught & accuracy["task"].isin(["all", "target"])]


def _is_plain(arm: str) -> bool:
    """Whether an arm is plain KD."""
    return arm.startswith(("distillation/", "two_stage/")) and (
        arm.endswith(".one-stage.kd") or (arm.startswith("distillation/") and arm.endswith(".kd"))
    )


def _better(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The rows that are shown to be better than a reference, the best first."""
    if f"{reference}_mean" not in rows:
        return rows.iloc[:0]
    shown = (rows[f"{reference}_p_adjusted"] <= ALPHA) & (rows[f"{reference}_mean"] > 0)
    return rows[shown].sort_values("rank", ascending=False, kind="stable")


def _choice(rows: pd.DataFrame) -> Choice:
    taught = rows[~rows["arm"].str.startswith("students/")]
    helpful, beyond = _better(taught, "baseline"), _better(taught, "kd")
    plain = helpful[helpful["arm"].map(_is_plain)]
    ranked = beyond[beyond["arm"].isin(helpful["arm"])]
    chosen = next((part for part in (ranked, plain, helpful) if len(part)), taught.iloc[:0])
    best = taught.sort_values("rank", ascending=False, kind="stable").iloc[0]
    first = rows.iloc[0]
    return Choice(
        str(first["pair"]),
        str(first["task"]),
        str(chosen["arm"].iloc[0]) if len(chosen) else "",
        method_name(chosen.iloc[0]) if len(chosen) else "",
        float(chosen["baseline_mean"].iloc[0]) if len(chosen) else float("nan"),
        method_name(best),
        float(best.get("baseline_mean", float("nan"))),
        int(taught["n"].min()),
    )


def _methods(choices: list[Choice], accuracy: pd.DataFrame, several: bool) -> Iterator[str]:
    """``Use KD: 3.1 points above the student alone (resnet), 1.8 (vgg).``; what its training takes
    where that is much; what leads by a hint."""
    by_name: dict[str, list[Choice]] = {}
    for choice in choices:
        by_name.setdefault(choice.name, []).append(choice)
    several = several or len(choices) > 1
    for name, found in by_name.items():
        if name:
            above, told = [], ""
            for choice in found:
                opponent = f" points above {choice.alone}" if choice.alone != told else ""
                where = f" ({choice.where})" if several else ""
                above.append(f"{number(choice.gain, 1, signed=False)}{opponent}{where}")
                told = choice.alone
            yield f"Use {name}: {', '.join(above)}."
            arms = accuracy[accuracy["arm"].isin([choice.arm for choice in found])]
            times = arms.get("training_macs_to_kd", pd.Series(dtype=float)).max()
            if times >= MUCH:
                yield f"Its training takes {times:.1f} times the multiply-adds of KD’s."
    for choice in by_name.get("", []):
        where = f" in {choice.where}" if several else ""
        told = f"No method is shown to beat {choice.alone}{where}"
        if isfinite(choice.lead) and choice.lead > 0:
            led = number(choice.lead, 1, signed=False)
            told += f"; {choice.leader} leads by {led} points"
        yield f"{told}."


def _pruned(pruning: pd.DataFrame, pair: str) -> Network | None:
    """The smaller network of a pair that is advised."""
    if pruning.empty:
        return None
    own = pruning[pruning["pair"] == pair]
    chains = [chain for chain in ("baseline", "two_stage") if chain in set(own["chain"])]
    if not chains:
        return None
    own = own[own["chain"] == chains[0]]
    score = "validation_mean" if own["validation_mean"].notna().all() else "mean"
    smaller = own[own["recovery"].isin([*WAYS]) & ~own["criterion"].isin(["dense", "random"])]
    if smaller.empty:
        return None
    best = smaller.loc[smaller.groupby("ratio")[score].idxmax()].sort_values("ratio")
    opponents = [_dense(own, row, score) for _, row in best.iterrows()]
    known = [*zip((row for _, row in best.iterrows()), opponents, strict=True)]
    near = [(row, dense) for row, dense in known if row[score] >= dense[score] - NEAR]
    row, dense = near[-1] if near else known[0]
    anew = ", from scratch" if is_anew(row["recovery"]) else ""
    name = f"{'thinned' if _thinned(row) else 'pruned'} {row['ratio']:g}×{anew}"
    beside = {
        "below": row["mean"] - dense["mean"],
        "dense": dense["recovery"],
        "dense_arm": dense["arm"],
    }
    return Network(pair, name, pd.concat([row, pd.Series(beside)]))


def _thinned(row: pd.Series) -> bool:
    """Whether no criterion chose the shape: every layer lost the same share of its channels."""
    return str(row["criterion"]).partition("-")[0] == "uniform"


def _dense(chain: pd.DataFrame, row: pd.Series, score: str) -> pd.Series:
    """The fair opponent of a pruned network of a chain: dense with the same KD, at the rates that
    ``score`` prefers, or what was pruned."""
    dense = chain[chain["criterion"] == "dense"]
    for recovery in ("kd_throughout", "kd") if is_anew(row["recovery"]) else ("kd",):
        same = dense[dense["recovery"] == recovery]
        if len(same):
            return same.sort_values(score).iloc[-1]
    return chain.iloc[0]


def _dense_name(row: pd.Series) -> str:
    """How the opponent of an advised network is called."""
    last = " with KD in its last epochs" if is_anew(row["recovery"]) else " with the same KD"
    return "the unpruned student" + {"kd": last, "kd_throughout": " with KD in all epochs"}.get(
        row["dense"], ""
    )


def _prunings(networks: list[Network], several: bool) -> Iterator[str]:
    """``Prune 2× and recover with KD: 0.3 points below the unpruned student with the same KD (vgg),
    0.1 above (resnet).``; a sentence for each way."""
    ways: dict[tuple[str, str], list[str]] = {}
    for network in networks:
        row, below = network.row, network.row["below"]
        cut = "Thin all layers alike" if _thinned(row) else "Prune"
        way = f"{cut} {row['ratio']:g}× and {WAYS[row['recovery']]}"
        dense = _dense_name(row)
        told = ways.setdefault((way, dense), [])
        points, opponent = ("", "") if told else (" points", f" {dense}")
        side = "below" if below < 0 else "above"
        size = number(abs(below), 1, signed=False)
        where = f" ({network.pair})" if several else ""
        told.append(f"{size}{points} {side}{opponent}{where}")
    for (way, _), told in ways.items():
        yield f"{way}: {', '.join(told)}."


def _in_vain(tables: Frames) -> Iterator[str]:
    """What is not shown to add anything to KD."""
    tried: dict[str, bool] = {}
    for rows in _compared(tables):
        if "kd_mean" not in rows:
            continue
        plain = rows[rows["arm"].map(_is_plain)]
        steps = rows["arm"].str.partition("/")[0]
        beyond = set(_better(rows, "kd")["arm"])
        for step, group in GROUPS.items():
            part = rows[(steps == step) & ~rows["arm"].map(_is_plain)]
            part = part[~part["arm"].str.endswith(".ce")]
            if len(plain) and len(part) and int(part["n"].min()) >= MIN_SEEDS:
                # Older results have no test against KD: what lies above it is left open.
                tested = "kd_low" in rows or bool((part["kd_mean"] <= 0).all())
                gained = bool(beyond & set(part["arm"])) or not tested
                tried[group] = tried.get(group, False) or gained
    vain = [group for group, gained in tried.items() if not gained]
    if vain:
        groups = " and ".join(vain)
        yield f"{groups[0].upper()}{groups[1:]} are not shown to add anything to KD."


def few_seeds(seeds: int) -> str:
    """What so few seeds are worth."""
    few = "One seed gives" if seeds == 1 else f"{seeds} seeds give"
    return f"{few} a hint, not a finding; {MIN_SEEDS} are needed."


def _tiles(tables: Frames, networks: list[Network], several: bool) -> list[Tile]:
    accuracy, costs, times = [], [], []
    timed, busy = _times(tables.get("latency", pd.DataFrame()))
    table = tables["accuracy"]
    for network in networks:
        row = network.row
        name = f"{network.pair}: {network.name}" if several else network.name
        teacher = _teacher(table, network)
        mean, n = float(row["mean"]), int(row["n"])
        around = "one seed"
        if n > 1 and isfinite(row["sd"]):
            half = critical(n, ALPHA) * float(row["sd"]) / sqrt(n)
            around = f"95 % interval {mean - half:.1f} to {min(mean + half, 100):.1f}"
        if len(teacher):
            around += f"; teacher {teacher['mean'].iloc[0]:.1f}"
        accuracy.append((name, f"{mean:.1f} %", around))
        macs, beside = float(row["macs"]), ""
        if len(teacher):
            times_fewer = float(teacher["macs"].iloc[0]) / macs
            beside = f"{times_fewer:.1f}× fewer than the teacher"
        costs.append((name, count(macs), beside))
        if row["arm"] in timed:
            other = str(teacher["arm"].iloc[0]) if len(teacher) else ""
            dense = str(row.get("dense_arm", ""))
            shown = {other: "teacher", dense: "unpruned student"}
            said = [f"{who} {timed[arm]:.2f} ms" for arm, who in shown.items() if arm in timed]
            said += ["on a busy machine"] if busy & {str(row["arm"]), *shown} else []
            beside = "; ".join(said)
            times.append((name, f"{timed[row['arm']]:.2f} ms", beside))
    tiles = [
        Tile("Test accuracy", accuracy),
        Tile("Multiply-adds an image", costs),
        Tile("Time an image, alone", times),
    ]
    return [tile for tile in tiles if tile.lines]


def _teacher(accuracy: pd.DataFrame, network: Network) -> pd.DataFrame:
    """The row of a network's teacher, on its own task; none where there is none."""
    second = network.row.get("task") == "target" or network.row.get("chain") in OTHER_CHAINS
    names = [f"teachers/{network.pair}.target"] * second + [f"teachers/{network.pair}"]
    found = [accuracy[accuracy["arm"] == name] for name in names]
    return next((rows for rows in found if len(rows)), accuracy.iloc[:0])


def _times(latency: pd.DataFrame) -> tuple[dict[str, float], set[str]]:
    """Arm → milliseconds of the least batch, of the whole network; the arms that were timed while
    others used the machine."""
    if latency.empty or "batch" not in latency:
        return {}, set()
    least = latency[latency["batch"] == latency["batch"].min()]
    if "exit" in least:
        least = least[least["exit"].isin([FINAL, ENSEMBLE])]
    times = zip(least["arm"], least["milliseconds"], strict=True)
    busy = {str(arm) for arm in least.loc[disturbed(least), "arm"]}
    return {str(arm): float(ms) for arm, ms in times}, busy
