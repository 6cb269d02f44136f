"""The runs of paper A's first half."""

from collections.abc import Iterator

from stagewise.study.arms import Arms
from stagewise.study.runs import Run


class TwoStage(Arms):
    """Students with features and a new classifier, distilled in one stage and in two."""

    def two_stage(self) -> Iterator[Run]:
        """In every regime: standard training, and each method in one stage and in two (paper A)."""
        config, block, regime = self.config, self.config["two_stage"], self.regime
        stages = {
            "recipe": "two_stage",
            "stage1_share": block["stage1_share"],
            "stage1_lr": block["stage1_lr"],
        }
        for pair in block["pairs"]:
            if regime.pretrains:
                yield self.pretraining(pair)
            init, start = self.student_start(pair)
            teacher = self.teacher_path(pair, regime.teacher)
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
                        data=(regime.task, "few"),
                        init=init,
                        network=self.network(pair, "student"),
                        method=method,
                        recipe=recipe,
                        training=self.training(arm, method, block["training"]),
                        probe=block["probe"],
                        parents={**start, "teacher": teacher},
                        reference=teacher,
                        labels={
                            "pair": pair,
                            "task": regime.task,
                            "network": "student",
                            "display": display,
                        },
                    )

    def pretraining(self, pair: str) -> Run:
        """The student's network on the source classes."""
        block = self.config["two_stage"]["pretraining"]
        arm = f"pretraining/{pair}"
        return self.run(
            arm,
            block["seed"],
            data=("source", "full"),
            init="scratch",
            network=self.network(pair, "student"),
            method="ce",
            recipe={"recipe": "one_stage"},
            training=self.training(arm, "ce", block["training"]),
            labels={
                "pair": pair,
                "task": "source",
                "network": "student",
                "display": "pretrained on the source classes",
            },
        )

    def student_start(self, pair: str) -> tuple[str, dict[str, str]]:
        """``init`` of the students' specs, and the parent that it names."""
        if self.regime.pretrains:
            seed = self.config["two_stage"]["pretraining"]["seed"]
            return "features", {"init": self.path(f"pretraining/{pair}", seed)}
        return self.imagenet_start(pair, "student")
