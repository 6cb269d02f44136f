"""Students alone, from scratch, and the teacher's network on their images."""

from collections.abc import Iterator

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import Images
from stagewise.study.steps.arms import ONE_STAGE, network_entry, trained, training
from stagewise.study.steps.teachers import teacher_path


def students(config: Config) -> Iterator[PlannedRun]:
    """The arms ``baseline`` and ``large``."""
    for pair, entry in config.pairs.items():
        arms = {"baseline": (entry.student, "student", "student alone")}
        if config.teachers.same_data:
            arms["large"] = (entry.teacher, "teacher", "teacher's network, student's images")
        for name, (network, role, display) in arms.items():
            arm = f"students/{pair}.{name}"
            yield from trained(
                config,
                arm,
                config.seeds,
                data=Images(task="all", images="few"),
                init="scratch",
                network=network_entry(network),
                method="ce",
                recipe=ONE_STAGE,
                training=training(config, arm, config.students.training),
                reference=teacher_path(config, pair, "all"),
                labels={"pair": pair, "task": "all", "network": role, "display": display},
            )
