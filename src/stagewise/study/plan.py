"""From a configuration to the list of runs, each with its spec and its parents.

A run is a network, a list of phases, and maybe a teacher. Its ``spec`` holds exactly the settings
that its process uses, so a changed setting changes exactly the specs that depend on it; seeds and
the other sweep axes only add runs. Labels describe a run for tables and never reach its process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.checks import Config, method_entry, nearest

Spec = dict[str, Any]

STEPS = (
    "pretraining",
    "teachers",
    "students",
    "distillation",
    "two_stage",
    "multi_exit",
    "pruning",
    "recovery",
)
TUNED = ("students", "distillation", "two_stage", "multi_exit", "recovery")


@dataclass(frozen=True)
class Run:
    """One run: ``arm`` (step/name) and ``seed`` name it.

    ``parents`` maps a role (``teacher``, ``init``) to the parent's path; ``reference`` is the path
    of the teacher that fidelity is measured against, whether or not the run learns from it.
    """

    study: str
    step: str
    name: str
    seed: int
    spec: Spec = field(hash=False)
    parents: dict[str, str] = field(hash=False, default_factory=dict)
    reference: str = ""
    labels: dict[str, Any] = field(hash=False, default_factory=dict)

    @property
    def arm(self) -> str:
        """``step/name``: what all seeds of this run share."""
        return f"{self.step}/{self.name}"

    @property
    def path(self) -> str:
        """The run's folder, relative to the project."""
        return run_path(self.study, self.arm, self.seed)

    @property
    def modules(self) -> list[str]:
        """Modules that the spec names: what its code fingerprint covers beyond the script."""
        files = []
        if "network" in self.spec:
            files.append(catalogue.networks()[self.spec["network"]["network"]])
        if "method" in self.spec:
            files.append(catalogue.methods()[self.spec["method"]["method"]])
        if "recipe" in self.spec:
            files.append(catalogue.recipes()[self.spec["recipe"]["recipe"]])
        return [catalogue.module_name(path) for path in files]


def run_path(study: str, arm: str, seed: int) -> str:
    """Folder of a run, relative to the project."""
    return f"runs/{study}/{arm}/seed-{seed}"


@dataclass(frozen=True)
class Plan:
    """A validated configuration and its runs by path, parents first."""

    config: Config
    runs: dict[str, Run]

    def step(self, *steps: str) -> list[Run]:
        """The runs of some steps, in plan order."""
        return [run for run in self.runs.values() if run.step in steps]

    def rows(self) -> list[dict[str, Any]]:
        """The plan as plain rows for records and tables."""
        return [
            {
                "path": run.path,
                "arm": run.arm,
                "step": run.step,
                "name": run.name,
                "seed": run.seed,
                "parents": run.parents,
                "reference": run.reference,
                **run.labels,
            }
            for run in self.runs.values()
        ]


def make_plan(config: Config, name: str = "config") -> Plan:
    """All runs of a study.

    Raises:
        UserError: ``learning_rates`` names an arm that the study does not have.
    """
    planned = list(_Planner(config).all_runs())
    arms = {run.arm for run in planned if "training" in run.spec}
    unknown = [arm for arm in config["learning_rates"] if arm not in arms]
    if unknown:
        raise UserError(
            "\n".join(
                f"{name}: learning_rates: '{arm}' is no arm of this study; {nearest(arm, arms)}"
                for arm in unknown
            )
        )
    if "tune" in config:
        planned = _tuning_runs(planned, config["tune"]["rates"])
    return Plan(config, {run.path: run for run in planned})


def _tuning_runs(runs: list[Run], rates: Iterable[float]) -> list[Run]:
    """Each tunable arm once per rate, with the runs that these descend from."""
    by_path = {run.path: run for run in runs}
    variants = [
        Run(
            run.study,
            run.step,
            f"{run.name}.lr-{rate:g}",
            run.seed,
            {**run.spec, "training": {**run.spec["training"], "lr": rate}},
            run.parents,
            run.reference,
            {**run.labels, "tuned_arm": run.arm, "rate": rate},
        )
        for run in runs
        if run.step in TUNED and run.spec["recipe"]["recipe"] != "reestimate_batch_norm"
        for rate in rates
    ]
    needed: set[str] = set()
    todo = [path for run in variants for path in (*run.parents.values(), run.reference)]
    while todo:
        path = todo.pop()
        if path not in needed:
            needed.add(path)
            todo += [*by_path[path].parents.values(), by_path[path].reference or path]
    return [run for run in runs if run.path in needed] + variants


class _Planner:
    """Reads one configuration; each method yields the runs of one step."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.study = config["study"]

    def all_runs(self) -> Iterator[Run]:
        yield from self.teachers()
        yield from self.students()
        yield from self.distillation()
        yield from self.two_stage()
        yield from self.multi_exit()
        yield from self.compression()

    # -- building blocks ---------------------------------------------------------------------

    def training(self, arm: str, *overrides: dict[str, Any]) -> dict[str, Any]:
        """Training settings of an arm: the defaults, its step's overrides, its own tuned rate."""
        settings = dict(self.config["training"])
        for override in overrides:
            settings |= override
        if arm in self.config["learning_rates"]:
            settings["lr"] = self.config["learning_rates"][arm]
        return settings

    def method(self, label: str) -> dict[str, Any]:
        """``method`` and ``weights`` of a spec, with the method's own defaults filled in."""
        entry = method_entry(self.config, label)
        name = entry["method"]
        options = {
            option: entry.get(option, default)
            for option, default in catalogue.method_options(name).items()
        }
        weights = {**catalogue.method_weights(name), **entry.get("weights", {})}
        return {"method": {"method": name, **options}, "weights": weights}

    def title(self, label: str) -> str:
        """What tables call a method: its own name, or the label of a variant of it."""
        name = method_entry(self.config, label)["method"]
        return catalogue.method_title(name) if name == label else label

    def network(self, pair: str, role: str) -> dict[str, Any]:
        """A network's name with every option filled in."""
        entry = self.config["pairs"][pair][role]
        return {**catalogue.network_options(entry["network"]), **entry}

    def run(
        self,
        arm: str,
        seed: int,
        *,
        data: tuple[str, str],
        init: str,
        method: str,
        recipe: dict[str, Any],
        training: dict[str, Any],
        network: dict[str, Any] | None = None,
        exits: str | None = None,
        probe: bool = False,
        parents: dict[str, str] | None = None,
        reference: str = "",
        labels: dict[str, Any],
    ) -> Run:
        step, _, name = arm.partition("/")
        spec: Spec = {
            "seed": seed,
            "data": {"task": data[0], "images": data[1]},
            "init": init,
            **self.method(method),
            "recipe": recipe,
            "training": training,
        }
        spec |= {"network": network} if network else {}
        spec |= {"exits": exits} if exits else {}
        spec |= {"probe": True} if probe else {}
        if "teacher" not in catalogue.method_needs(spec["method"]["method"]):
            parents = {role: path for role, path in (parents or {}).items() if role != "teacher"}
        labels = {"method": method, "recipe": recipe["recipe"], **labels}
        return Run(self.study, step, name, seed, spec, parents or {}, reference, labels)

    def path(self, arm: str, seed: int) -> str:
        return run_path(self.study, arm, seed)

    def teacher_path(self, pair: str, kind: str = "") -> str:
        return self.path(f"teachers/{pair}{kind}", self.config["teachers"]["seed"])

    # -- steps -------------------------------------------------------------------------------

    def teachers(self) -> Iterator[Run]:
        """Teachers on all images; on the target classes; with exits on their frozen backbone."""
        config = self.config
        seed = config["teachers"]["seed"]
        tasks = {
            "all": ("", list(config["pairs"])),
            "target": (".target", config["two_stage"]["pairs"]),
        }
        for task, (suffix, pairs) in tasks.items():
            for pair in pairs:
                arm = f"teachers/{pair}{suffix}"
                yield self.run(
                    arm,
                    seed,
                    data=(task, "full"),
                    init="scratch",
                    network=self.network(pair, "teacher"),
                    method="ce",
                    recipe={"recipe": "one_stage"},
                    training=self.training(arm, config["teachers"]["training"]),
                    labels={"pair": pair, "task": task, "network": "teacher", "display": "teacher"},
                )
        for pair in config["multi_exit"]["pairs"]:
            arm = f"teachers/{pair}.exits"
            overrides = (config["teachers"]["training"], config["multi_exit"]["teacher_exits"])
            yield self.run(
                arm,
                seed,
                data=("all", "full"),
                init="parent",
                network=self.network(pair, "teacher"),
                exits=config["multi_exit"]["head"],
                method="exits_ce",
                recipe={"recipe": "exits_only"},
                training=self.training(arm, *overrides),
                parents={"init": self.teacher_path(pair)},
                reference=self.teacher_path(pair),
                labels={
                    "pair": pair,
                    "task": "all",
                    "network": "teacher",
                    "display": "teacher with exits",
                },
            )

    def students(self) -> Iterator[Run]:
        """The student alone, from scratch; the teacher's network on the student's images."""
        config = self.config
        roles = {"baseline": ("student", "student alone")}
        if config["teachers"]["same_data"]:
            roles["large"] = ("teacher", "teacher's network, student's images")
        for pair in config["pairs"]:
            for name, (role, display) in roles.items():
                arm = f"students/{pair}.{name}"
                for seed in config["seeds"]:
                    yield self.run(
                        arm,
                        seed,
                        data=("all", "few"),
                        init="scratch",
                        network=self.network(pair, role),
                        method="ce",
                        recipe={"recipe": "one_stage"},
                        training=self.training(arm, config["students"]["training"]),
                        reference=self.teacher_path(pair),
                        labels={"pair": pair, "task": "all", "network": role, "display": display},
                    )

    def distillation(self) -> Iterator[Run]:
        """Each method on each pair, from scratch, at the students' budget."""
        config = self.config
        for pair in config["distillation"]["pairs"]:
            for method in config["distillation"]["methods"]:
                arm = f"distillation/{pair}.{method}"
                for seed in config["seeds"]:
                    yield self.run(
                        arm,
                        seed,
                        data=("all", "few"),
                        init="scratch",
                        network=self.network(pair, "student"),
                        method=method,
                        recipe={"recipe": "one_stage"},
                        training=self.training(arm, config["students"]["training"]),
                        parents={"teacher": self.teacher_path(pair)},
                        reference=self.teacher_path(pair),
                        labels={
                            "pair": pair,
                            "task": "all",
                            "network": "student",
                            "display": self.title(method),
                        },
                    )

    def two_stage(self) -> Iterator[Run]:
        """Regime P-split: pretrained features, new classifier, few target images (paper A)."""
        config, block = self.config, self.config["two_stage"]
        for pair in block["pairs"]:
            pretrained = self.path(f"pretraining/{pair}", block["pretraining"]["seed"])
            arm = f"pretraining/{pair}"
            yield self.run(
                arm,
                block["pretraining"]["seed"],
                data=("source", "full"),
                init="scratch",
                network=self.network(pair, "student"),
                method="ce",
                recipe={"recipe": "one_stage"},
                training=self.training(arm, block["pretraining"]["training"]),
                labels={
                    "pair": pair,
                    "task": "source",
                    "network": "student",
                    "display": "pretrained on the source classes",
                },
            )
            stages = {
                "recipe": "two_stage",
                "stage1_share": block["stage1_share"],
                "stage1_lr": block["stage1_lr"],
            }
            arms = {f"students/{pair}.pretrained": ("ce", {"recipe": "one_stage"}, "standard")}
            for method in block["methods"]:
                one, two = f"two_stage/{pair}.one-stage.{method}", f"two_stage/{pair}.{method}"
                arms[one] = (method, {"recipe": "one_stage"}, f"one-stage {self.title(method)}")
                arms[two] = (method, stages, f"two-stage {self.title(method)}")
            for arm, (method, recipe, display) in arms.items():
                for seed in config["seeds"]:
                    yield self.run(
                        arm,
                        seed,
                        data=("target", "few"),
                        init="features",
                        network=self.network(pair, "student"),
                        method=method,
                        recipe=recipe,
                        training=self.training(arm, block["training"]),
                        probe=block["probe"],
                        parents={
                            "init": pretrained,
                            "teacher": self.teacher_path(pair, ".target"),
                        },
                        reference=self.teacher_path(pair, ".target"),
                        labels={
                            "pair": pair,
                            "task": "target",
                            "network": "student",
                            "display": display,
                        },
                    )

    def multi_exit(self) -> Iterator[Run]:
        """Students with exits: without a teacher, MSKD, OtO (paper B)."""
        config, block = self.config, self.config["multi_exit"]
        for pair in block["pairs"]:
            for method in block["methods"]:
                name = method_entry(config, method)["method"]
                kind = ".exits" if "teacher_exits" in catalogue.method_needs(name) else ""
                arm = f"multi_exit/{pair}.{method.removeprefix('exits_')}"
                for seed in config["seeds"]:
                    yield self.run(
                        arm,
                        seed,
                        data=("all", "few"),
                        init="scratch",
                        network=self.network(pair, "student"),
                        exits=block["head"],
                        method=method,
                        recipe={"recipe": "one_stage"},
                        training=self.training(arm, config["students"]["training"]),
                        parents={"teacher": self.teacher_path(pair, kind)},
                        reference=self.teacher_path(pair),
                        labels={
                            "pair": pair,
                            "task": "all",
                            "network": "student",
                            "display": self.title(method),
                        },
                    )

    def compression(self) -> Iterator[Run]:
        """Pruned students, their recovery, and the dense student given the same extra epochs."""
        dense_done = set()
        for block in self.config["pruning"]:
            pair, chain = block["pair"], block["chain"]
            if (pair, chain) not in dense_done:
                dense_done.add((pair, chain))
                yield from self.recovered(pair, chain, "dense", self.dense_arm(pair, chain), ["kd"])
            for ratio in block["ratios"]:
                shape = f"{block['criterion']}-{ratio:g}x"
                arm = f"pruning/{pair}.{chain}.{shape}"
                yield from self.pruned(arm, block, ratio)
                yield from self.recovered(pair, chain, shape, arm, block["recover"])

    def dense_arm(self, pair: str, chain: str) -> str:
        """The arm that a chain prunes."""
        if chain == "baseline":
            return f"students/{pair}.baseline"
        return f"two_stage/{pair}.{self.config['two_stage']['methods'][0]}"

    def task(self, chain: str) -> tuple[str, str]:
        """Data task of a chain, and the suffix of its teacher."""
        return ("all", "") if chain == "baseline" else ("target", ".target")

    def pruned(self, arm: str, block: dict[str, Any], ratio: float) -> Iterator[Run]:
        pair, chain = block["pair"], block["chain"]
        limits = self.config["recovery"]
        task, suffix = self.task(chain)
        step, _, name = arm.partition("/")
        for seed in self.config["seeds"]:
            spec = {
                "network": self.network(pair, "student"),
                "seed": seed,
                "data": {"task": task, "images": "few"},
                "criterion": block["criterion"],
                "ratio": ratio,
                "min_channels": limits["min_channels"],
                "min_share": limits["min_share"],
                "tolerance": limits["tolerance"],
                "threads": self.config["training"]["threads"],
            }
            yield Run(
                self.study,
                step,
                name,
                seed,
                spec,
                {"init": self.path(self.dense_arm(pair, chain), seed)},
                self.teacher_path(pair, suffix),
                {
                    "pair": pair,
                    "task": task,
                    "network": "student",
                    "chain": chain,
                    "criterion": block["criterion"],
                    "ratio": ratio,
                    "recovery": "none",
                    "display": "pruned, no recovery",
                },
            )

    def recovered(
        self, pair: str, chain: str, shape: str, source: str, arms: Iterable[str]
    ) -> Iterator[Run]:
        """Recovery arms of one pruned (or the dense) network, all at the same budget.

        ``scratch_kd`` starts from new weights, so it gets the dense student's epochs as well.
        """
        config = self.config
        block = config["recovery"]
        task, suffix = self.task(chain)
        dense_training = config["students" if chain == "baseline" else "two_stage"]["training"]
        budget = self.training("", block["training"])
        whole = {
            "epochs": budget["epochs"] + self.training("", dense_training)["epochs"],
            "evaluate_every": self.training("", dense_training)["evaluate_every"],
        }
        one_stage = {"recipe": "one_stage"}
        two_stage = {
            "recipe": "two_stage",
            "stage1_share": block["stage1_share"],
            "stage1_lr": block["stage1_lr"],
        }
        recipes: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str]] = {
            "bn": ("ce", "parent", {"recipe": "reestimate_batch_norm"}, {}, "BN re-estimated"),
            "ce": ("ce", "parent", one_stage, {}, "recovered with CE"),
            "kd": ("kd", "parent", one_stage, {}, "recovered with KD"),
            "two_stage_kd": ("kd", "parent", two_stage, {}, "recovered with two-stage KD"),
            "scratch_kd": ("kd", "shape", one_stage, whole, "same shape from scratch with KD"),
        }
        criterion, _, ratio = shape.partition("-")
        for label in arms:
            method, init, recipe, override, display = recipes[label]
            arm = f"recovery/{pair}.{chain}.{shape}.{label}"
            for seed in config["seeds"]:
                yield self.run(
                    arm,
                    seed,
                    data=(task, "few"),
                    init=init,
                    method=method,
                    recipe=recipe,
                    training=self.training(arm, block["training"], override),
                    network=self.network(pair, "student"),
                    parents={
                        "init": self.path(source, seed),
                        "teacher": self.teacher_path(pair, suffix),
                    },
                    reference=self.teacher_path(pair, suffix),
                    labels={
                        "pair": pair,
                        "task": task,
                        "network": "student",
                        "chain": chain,
                        "criterion": criterion,
                        "ratio": float(ratio.removesuffix("x")) if ratio else 1.0,
                        "recovery": label,
                        "display": display if ratio else "dense student, same extra epochs with KD",
                    },
                )
