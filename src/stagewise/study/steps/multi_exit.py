"""Paper B: students with exits, and networks without that cost as much or answer as often."""

from collections.abc import Iterator
from dataclasses import replace

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import TrainSpec
from stagewise.study.steps.distillation import taught

SECOND = 2**32
"""What is added to a seed for a second network: more than any seed that a config can give."""


def multi_exit(config: Config) -> Iterator[PlannedRun]:
    """Without a teacher, MSKD, OtO: from scratch, at the students' budget; then the controls."""
    for pair in config.multi_exit.pairs:
        for label in config.multi_exit.methods:
            if not config.serves(label, pair):
                continue
            arm = f"multi_exit/{pair}.{label.removeprefix('exits_')}"
            head, places = config.exits(label)
            yield from taught(config, arm, pair, label, exits=head, exit_places=places)
        for control in config.multi_exit.controls:
            yield from CONTROLS[control](config, pair)


def _wide(config: Config, pair: str) -> Iterator[PlannedRun]:
    """A student of equal cost (science §3.8, C7)."""
    labels = {"network": "control", "display": "KD, widened"}
    network = config.pairs[pair].wide
    yield from taught(
        config, f"multi_exit/{pair}.kd_wide", pair, "kd", network=network, labels=labels
    )


def _twice(config: Config, pair: str) -> Iterator[PlannedRun]:
    """A second student (C8), trained as the first, its rate and loss weights too, from which it
    differs in its first weights, order and views of the images alone; its folder has the seed of
    the first."""
    first, arm = f"distillation/{pair}.kd", f"multi_exit/{pair}.kd_twice"
    labels = {"network": "control", "display": "two networks with KD"}
    for run in taught(config, first, pair, "kd", labels=labels):
        assert isinstance(run.spec, TrainSpec)
        spec = replace(run.spec, seed=run.seed + SECOND)
        yield replace(run, arm=arm, spec=spec, partner=run.path)


CONTROLS = {"wide": _wide, "twice": _twice}
"""Control of the config → its runs."""
