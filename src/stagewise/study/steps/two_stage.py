"""Paper A's first half: students with features and a new classifier."""

from collections.abc import Iterator

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun, run_path
from stagewise.study.regimes import REGIMES
from stagewise.study.spec import Images
from stagewise.study.steps.arms import (
    ONE_STAGE,
    imagenet_start,
    network_entry,
    title,
    trained,
    training,
    two_stages,
)
from stagewise.study.steps.teachers import taught_by, teacher_path


def two_stage(config: Config) -> Iterator[PlannedRun]:
    """In every regime: standard training, and each method in one stage and in two."""
    block = config.two_stage
    task = REGIMES[block.regime].task
    stages = two_stages(block.stage1_share, block.stage1_lr)
    for pair in block.pairs:
        yield from _pretraining(config, pair)
        init, start = _student_start(config, pair)
        arms = {f"students/{pair}.pretrained": ("ce", ONE_STAGE, "standard")}
        for label in block.methods:
            one, two = f"two_stage/{pair}.one-stage.{label}", f"two_stage/{pair}.{label}"
            arms[one] = (label, ONE_STAGE, f"one-stage {title(config, label)}")
            arms[two] = (label, stages, f"two-stage {title(config, label)}")
        for arm, (label, recipe, display) in arms.items():
            yield from trained(
                config,
                arm,
                config.seeds,
                data=Images(task=task, images="few"),
                init=init,
                network=network_entry(config.pairs[pair].student),
                method=label,
                recipe=recipe,
                training=training(config, arm, block.training, config.method(label).training),
                observers=("shock",) if block.probe else (),
                parents={**start, "teacher": taught_by(config, pair, task, label)},
                reference=teacher_path(config, pair, task),
                labels={"pair": pair, "task": task, "network": "student", "display": display},
            )


def _pretraining(config: Config, pair: str) -> Iterator[PlannedRun]:
    """The student's network on the source classes, where the regime has some."""
    block = config.two_stage.pretraining
    arm = f"pretraining/{pair}"
    if REGIMES[config.two_stage.regime].pretrains:
        yield from trained(
            config,
            arm,
            [block.seed],
            data=Images(task="source", images="full"),
            init="scratch",
            network=network_entry(config.pairs[pair].student),
            method="ce",
            recipe=ONE_STAGE,
            training=training(config, arm, block.training),
            labels={
                "pair": pair,
                "task": "source",
                "network": "student",
                "display": "pretrained on the source classes",
            },
        )


def _student_start(config: Config, pair: str) -> tuple[str, dict[str, str]]:
    """``init`` of the students' specs, and the parent that it names."""
    if REGIMES[config.two_stage.regime].pretrains:
        seed = config.two_stage.pretraining.seed
        return "features", {"init": run_path(config.study, f"pretraining/{pair}", seed)}
    return imagenet_start(config, pair, config.pairs[pair].student)
