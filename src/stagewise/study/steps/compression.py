"""Paper A's second half: pruned students, their recovery, and the dense student beside them."""

from collections.abc import Iterator

from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.steps.pruning import chain_of, pruned
from stagewise.study.steps.recovery import recovered


def compression(config: Config) -> Iterator[PlannedRun]:
    """Every chain's dense student given the same extra epochs once, then shape by shape."""
    done = set()
    for block in config.pruning:
        chain = chain_of(config, block)
        if chain not in done:
            done.add(chain)
            yield from recovered(config, chain, "dense", 1.0, chain.dense, config.recovery.dense)
        for ratio in block.ratios:
            shape = f"{block.criterion}-{ratio:g}x"
            arm = f"pruning/{chain.pair}.{chain.name}.{shape}"
            yield from pruned(config, chain, arm, block.criterion, ratio)
            yield from recovered(config, chain, block.criterion, ratio, arm, block.recover)
