"""Students alone, from scratch, and the teacher's network on their images."""

from collections.abc import Iterator
from typing import Any

from stagewise.study.config import Config
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.planned import PlannedRun
from stagewise.study.regimes import REGIMES
from stagewise.study.spec import Images
from stagewise.study.steps.arms import ONE_STAGE, network_entry, trained, training
from stagewise.study.steps.teachers import teacher_path


def students(config: Config) -> Iterator[PlannedRun]:
    """The arm ``baseline``; where teachers see more images, ``large``, and on the target classes of
    ``two_stage``, ``large.target``."""
    block, data, same = config.two_stage, config.data, config.teachers.same_data
    budget = config.students.training
    for pair, entry in config.pairs.items():
        arm = f"students/{pair}.baseline"
        yield from _alone(config, arm, pair, entry.student, budget, "student alone")
        if same and data.student_images_per_class and not entry.teacher.weights:
            yield from _alone(config, f"students/{pair}.large", pair, entry.teacher, budget)
    on_target = REGIMES[block.regime].task == "target" and data.target_images_per_class
    for pair in block.pairs if same and on_target else ():
        arm, network = f"students/{pair}.large.target", config.pairs[pair].teacher
        yield from _alone(config, arm, pair, network, block.training, task="target")


def _alone(
    config: Config,
    arm: str,
    pair: str,
    network: NetworkEntry,
    budget: dict[str, Any],
    display: str = "",
    task: str = "all",
) -> Iterator[PlannedRun]:
    """A network from scratch on the student's images; without a ``display`` the teacher's."""
    yield from trained(
        config,
        arm,
        config.seeds,
        data=Images(task=task, images="few"),
        init="scratch",
        network=network_entry(network),
        method="ce",
        recipe=ONE_STAGE,
        training=training(config, arm, budget),
        reference=teacher_path(config, pair, task),
        labels={
            "pair": pair,
            "task": task,
            "network": "student" if display else "teacher",
            "display": display or "teacher's network, student's images",
        },
    )
