"""The runs of paper A's second half: pruned students and their recovery."""

from collections.abc import Iterable, Iterator
from typing import Any

from stagewise.study.arms import Arms
from stagewise.study.runs import Run


class Compression(Arms):
    """Pruned students, their recovery, and the dense student given the same extra epochs."""

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
        return ("all", "") if chain == "baseline" else (self.regime.task, self.regime.teacher)

    def pruned(self, arm: str, block: dict[str, Any], ratio: float) -> Iterator[Run]:
        """A chain's students with so many times fewer MACs."""
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
        budget = self.training("", "kd", block["training"])
        whole = {
            "epochs": budget["epochs"] + self.training("", "kd", dense_training)["epochs"],
            "evaluate_every": self.training("", "kd", dense_training)["evaluate_every"],
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
                    training=self.training(arm, method, block["training"], override),
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
