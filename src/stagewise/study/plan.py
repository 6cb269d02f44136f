"""From a configuration to the list of runs, each with its spec and its parents."""

from collections.abc import Iterable, Iterator

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.study.checks.common import Config, method_entry, nearest
from stagewise.study.compression import Compression
from stagewise.study.runs import Plan, Run
from stagewise.study.two_stage import TwoStage

TUNED = ("students", "distillation", "two_stage", "multi_exit", "recovery")


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
        if path in by_path and path not in needed:
            needed.add(path)
            run = by_path[path]
            todo += [*run.parents.values(), run.reference or path]
    return [run for run in runs if run.path in needed] + variants


class _Planner(TwoStage, Compression):
    """All steps; each method yields the runs of one."""

    def all_runs(self) -> Iterator[Run]:
        yield from self.teachers()
        yield from self.students()
        yield from self.distillation()
        yield from self.two_stage()
        yield from self.multi_exit()
        yield from self.compression()

    def teachers(self) -> Iterator[Run]:
        """Teachers on all images; on the target classes; with exits on their frozen backbone."""
        config = self.config
        seed = config["teachers"]["seed"]
        tasks = {
            "all": ("", list(config["pairs"])),
            "target": (".target", config["two_stage"]["pairs"] if self.regime.teacher else []),
        }
        for task, (suffix, pairs) in tasks.items():
            for pair in pairs:
                arm = f"teachers/{pair}{suffix}"
                init, start = self.imagenet_start(pair, "teacher")
                yield self.run(
                    arm,
                    seed,
                    data=(task, "full"),
                    init=init,
                    network=self.network(pair, "teacher"),
                    method="ce",
                    recipe={"recipe": "one_stage"},
                    training=self.training(arm, "ce", config["teachers"]["training"]),
                    parents=start,
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
                training=self.training(arm, "exits_ce", *overrides),
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
                        training=self.training(arm, "ce", config["students"]["training"]),
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
                        training=self.training(arm, method, config["students"]["training"]),
                        parents={"teacher": self.teacher_path(pair)},
                        reference=self.teacher_path(pair),
                        labels={
                            "pair": pair,
                            "task": "all",
                            "network": "student",
                            "display": self.title(method),
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
                        training=self.training(arm, method, config["students"]["training"]),
                        parents={"teacher": self.teacher_path(pair, kind)},
                        reference=self.teacher_path(pair),
                        labels={
                            "pair": pair,
                            "task": "all",
                            "network": "student",
                            "display": self.title(method),
                        },
                    )
