"""Students taught from scratch, each by one method."""

from collections.abc import Iterator, Mapping

from stagewise.study.config import Config
from stagewise.study.config.pairs import NetworkEntry
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import Images
from stagewise.study.steps.arms import network_entry, recipe_entry, title, trained, training
from stagewise.study.steps.teachers import taught_by, teacher_path


def distillation(config: Config) -> Iterator[PlannedRun]:
    """Each method on each pair, at the students' budget."""
    for pair in config.distillation.pairs:
        for label in config.distillation.methods:
            if config.serves(label, pair):
                yield from taught(config, f"distillation/{pair}.{label}", pair, label)


def taught(
    config: Config,
    arm: str,
    pair: str,
    label: str,
    *,
    exits: str = "",
    exit_places: tuple[int, ...] = (),
    network: NetworkEntry | None = None,
    labels: Mapping[str, str] | None = None,
) -> Iterator[PlannedRun]:
    """A pair's student, or another ``network``, from scratch, taught by the method of a label."""
    overrides = (config.students.training, config.method(label).training)
    yield from trained(
        config,
        arm,
        config.seeds,
        data=Images(task="all", images="few"),
        init="scratch",
        network=network_entry(network or config.pairs[pair].student),
        exits=exits,
        exit_places=exit_places,
        method=label,
        recipe=recipe_entry(config, label),
        training=training(config, arm, *overrides),
        parents={"teacher": taught_by(config, pair, "all", label)},
        reference=teacher_path(config, pair, "all"),
        labels={
            "pair": pair,
            "task": "all",
            "network": "student",
            "display": title(config, label),
            **(labels or {}),
        },
    )
