"""Paper B: students with exits."""

from collections.abc import Iterator

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.steps.distillation import taught


def multi_exit(config: Config) -> Iterator[PlannedRun]:
    """Without a teacher, MSKD, OtO: from scratch, at the students' budget."""
    for pair in config.multi_exit.pairs:
        for label in config.multi_exit.methods:
            if not config.serves(label, pair):
                continue
            arm = f"multi_exit/{pair}.{label.removeprefix('exits_')}"
            head, places = config.exits(label)
            yield from taught(config, arm, pair, label, exits=head, exit_places=places)
