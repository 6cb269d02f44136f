"""A target that says what to reach, and candidates that can be made."""

from stagewise.study.config.options import Problems, unknown
from stagewise.study.config.study import Config
from stagewise.study.goals import QUANTITIES


def target_problems(config: Config) -> Problems:
    """Something to reach, images to choose on, candidates of the study's pairs, room to tune."""
    target = config.target
    assert target is not None
    if not target.goals:
        yield f"target: says nothing to reach; give one of {', '.join(QUANTITIES)}, such as 2x"
    if not config.data.validation:
        yield (
            "data.validation: 0, but what ships is chosen on held-out images; hold some out, or"
            " remove target"
        )
    if not config.tune and set(target.tuning_seeds) & set(config.seeds):
        yield (
            "target.tuning_seeds: rates are chosen with seeds of their own, and some are in seeds"
            " too; choose others"
        )
    for number, candidate in enumerate(target.candidates):
        if candidate.pair not in config.pairs:
            yield unknown(f"target.candidates.{number}.pair", candidate.pair, config.pairs)
