"""Pruned students, before any recovery."""

from collections.abc import Iterator
from dataclasses import dataclass

from stagewise.study.config import Config
from stagewise.study.config.compression import Pruning
from stagewise.study.config.lessons import chain_task
from stagewise.study.planned import PlannedRun, run_path
from stagewise.study.spec import Images, PruneSpec
from stagewise.study.steps.arms import drawn, network_entry
from stagewise.study.steps.teachers import teacher_path
from stagewise.study.steps.two_stage import student_start


@dataclass(frozen=True)
class Chain:
    """Students of a pair that are pruned and recovered: ``name`` is that of the config's ``chain``,
    ``dense`` their arm, ``task`` the classes that they learn."""

    pair: str
    name: str
    dense: str
    task: str


def chain_of(config: Config, block: Pruning) -> Chain:
    """The students that a block prunes."""
    arm = f"students/{block.pair}.{block.chain}"
    staged = [f"two_stage/{block.pair}.{label}" for label in config.two_stage.methods]
    dense = staged[0] if block.chain == "two_stage" else arm
    return Chain(block.pair, block.chain, dense, chain_task(config, block.chain))


def dense_start(config: Config, chain: Chain) -> tuple[str, dict[str, str]]:
    """``init`` of the specs of a chain's dense students, and the parent that it names."""
    return ("scratch", {}) if chain.name == "baseline" else student_start(config, chain.pair)


def pruned(
    config: Config, chain: Chain, block: Pruning, arm: str, ratio: float, dense: str
) -> Iterator[PlannedRun]:
    """A chain's students, of the arm ``dense``, with so many times fewer MACs."""
    for seed in config.seeds:
        spec = PruneSpec(
            network=network_entry(config.pairs[chain.pair].student),
            seed=seed,
            data=drawn(config, Images(task=chain.task, images="few"), seed),
            criterion=block.criterion,
            ratio=ratio,
            min_channels=config.recovery.min_channels,
            min_share=config.recovery.min_share,
            tolerance=config.recovery.tolerance,
            threads=config.training.threads,
            one_shot=block.one_shot,
            round_to=block.round_to,
            keep=block.keep,
        )
        yield PlannedRun(
            config.study,
            arm,
            seed,
            spec,
            {"init": run_path(config.study, dense, seed)},
            teacher_path(config, chain.pair, chain.task).format(seed=seed),
            {
                "pair": chain.pair,
                "task": chain.task,
                "network": "student",
                "chain": chain.name,
                "criterion": block.shape,
                "ratio": ratio,
                "recovery": "none",
                "display": "pruned, no recovery",
            },
        )
