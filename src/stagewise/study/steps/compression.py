"""Paper A's second half: pruned students, their recovery, and the dense student beside them."""

from collections.abc import Iterator

from stagewise import catalogue
from stagewise.study.config import Config
from stagewise.study.planned import PlannedRun
from stagewise.study.steps.pruning import Chain, chain_of, pruned
from stagewise.study.steps.recovery import beside, recovered, sparse


def compression(config: Config) -> Iterator[PlannedRun]:
    """Every chain's dense student given the same extra epochs once, then shape by shape."""
    done, sparse_done = set[Chain](), set[str]()
    for _, block in config.prunings:
        chain = chain_of(config, block)
        dense, recipe = chain.dense, catalogue.criterion_fact(block.criterion, "RECIPE")
        if chain not in done:
            done.add(chain)
            yield from beside(config, chain)
        if recipe:
            made = list(sparse(config, chain, recipe))
            dense = made[0].arm
            yield from [] if dense in sparse_done else made
            sparse_done.add(dense)
        for ratio in block.ratios:
            arm = f"pruning/{chain.pair}.{chain.name}.{block.shape}-{ratio:g}x"
            yield from pruned(config, chain, block, arm, ratio, dense)
            yield from recovered(config, chain, block, ratio, arm)
