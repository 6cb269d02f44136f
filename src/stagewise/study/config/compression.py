"""The blocks of pruning and recovery."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from stagewise.study.config.blocks import (
    MOST,
    Block,
    Label,
    Overrides,
    Share,
    Text,
    Unique,
    optional,
    optional_mapping,
)
from stagewise.study.spec import Rate

Ratio = Annotated[float, Gt(1), Le(64)]
Recovered = Literal[
    "bn",
    "ce",
    "kd",
    "two_stage_ce",
    "two_stage_kd",
    "rewound_ce",
    "rewound_kd",
    "self_kd",
    "scratch_ce",
    "scratch_ce_macs",
    "scratch_kd",
]


@dataclass(frozen=True, kw_only=True)
class Pruning(Block):
    """Students to prune, how far, and what recovers them."""

    pair: Text
    """Whose student."""
    chain: Literal["baseline", "two_stage"] = "baseline"
    """The student that is pruned: the one alone, or the one of two stages."""
    criterion: Text = "l2"
    """File in `pruning/criteria/`: which channels go."""
    ratios: Annotated[tuple[Ratio, ...], MinLen(1), MaxLen(MOST), Unique()]
    """So many times fewer multiply-adds, an arm for each."""
    recover: Annotated[tuple[Recovered, ...], Unique()] = ("ce", "kd", "two_stage_kd")
    """Arms of recovery: batch norm alone (`bn`); labels (`ce`) or KD (`kd`), in two stages
    (`two_stage_…`) or on the last stretch of the dense student's schedule (`rewound_…`); KD from
    the dense student (`self_kd`); new weights in the pruned shape (`scratch_…`), by labels for the
    dense student's epochs or, `scratch_ce_macs`, for as many multiply-adds as it took."""


@dataclass(frozen=True, kw_only=True)
class Recovery(Block):
    """How pruned students are trained again, and what pruning leaves of a layer."""

    training: Overrides = field(default_factory=dict)
    """Where its training differs."""
    families: Annotated[dict[Label, Overrides], MaxLen(10)] = optional_mapping()
    """Name to where the training of one more set of all its arms differs, such as another learning
    rate: which rate recovers best can decide which arm does."""
    dense: Annotated[tuple[Literal["ce", "kd"], ...], Unique()] = optional(("kd",))
    """What dense students learn by that have the same extra epochs."""
    stage1_share: Share = 0.1
    """Share of the epochs for stage 1, in two stages."""
    stage1_lr: Rate = 0.1
    """Learning rate of stage 1, in two stages."""
    min_channels: Annotated[int, Ge(1), Le(65_536)] = 4
    """Least channels of a layer that pruning keeps."""
    min_share: Share = 0.25
    """Least share of a layer's channels that pruning keeps."""
    tolerance: Annotated[float, Gt(0), Le(0.5)] = 0.05
    """By how much a ratio may be missed, as a share of it."""
