"""The runs of paper A's first half."""

from collections.abc import Iterator

from stagewise.study.arms import Arms
from stagewise.study.runs import Run


class TwoStage(Arms):
    """Pretrained students, distilled in one stage and in two."""

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
