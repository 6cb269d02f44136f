"""The blocks of pruning and recovery."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from stagewise.study.config.blocks import (
    MOST,
    Block,
    Label,
    Names,
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
    "two_stage_kd_bn",
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
    chain: Literal["baseline", "pretrained", "two_stage"] = "baseline"
    """The student that is pruned: the one alone, or of `two_stage` the one of standard training or
    the one of two stages."""
    criterion: Text = "l2"
    """File in `pruning/criteria/`: which channels go. `random`, `l1`, `l2`, `bn_scale`, `taylor`,
    `lamp`, `isomorphic`, `uniform`, or `group_sl`, whose students first learn sparse channels, with
    the epochs of a recovery."""
    ratios: Annotated[tuple[Ratio, ...], MinLen(1), MaxLen(MOST), Unique()]
    """So many times fewer multiply-adds, an arm for each."""
    recover: Annotated[tuple[Recovered, ...], Unique()] = ("ce", "kd", "two_stage_kd")
    """Arms of recovery: batch norm alone (`bn`); labels (`ce`) or KD (`kd`), in two stages
    (`two_stage_…`; `two_stage_kd_bn` after batch norm was estimated anew, in an epoch of its own,
    as stage 1 would else stand on statistics from before the pruning) or on the last stretch of the
    dense student's schedule, from its rate (`rewound_…`, in no family); KD from the dense student
    (`self_kd`); new weights in the pruned shape (`scratch_…`), trained as the dense student was: by
    labels for its epochs or, `scratch_ce_macs`, for as many multiply-adds as it and a recovery by
    labels take; by KD for the epochs of both, which take more multiply-adds than they do where the
    teacher is large."""
    probe: Annotated[tuple[Recovered, ...], Unique()] = optional(())
    """Those of `recover` that log the gradient-shock quantities: no classifier is new after
    pruning, so is there a shock that two stages could prevent?"""
    one_shot: bool = optional(False)
    """Whether channels are scored once, and not again as others go."""
    round_to: Annotated[int, Ge(1), Le(1024)] = optional(1)
    """Layers keep channels in multiples of this: 4, 8 or 16 are what hardware is fast at."""
    keep: Names = optional(())
    """Layers that lose no channel, as patterns of their names, like `stem*` and `stage1.*`."""

    @property
    def shape(self) -> str:
        """What its arms are called: the criterion, and how it is used otherwise than usual."""
        usual = {"one-shot": self.one_shot, f"by{self.round_to}": self.round_to > 1}
        differing = [name for name, given in {**usual, "kept": bool(self.keep)}.items() if given]
        return "-".join([self.criterion, *differing])


@dataclass(frozen=True, kw_only=True)
class Recovery(Block):
    """How pruned students are trained again, and what pruning leaves of a layer."""

    training: Overrides = field(default_factory=dict)
    """Where its training differs."""
    families: Annotated[dict[Label, Overrides], MaxLen(10)] = optional_mapping()
    """Name to where the training of one more set of all its arms differs, such as another learning
    rate: which rate recovers best can decide which arm does."""
    dense: Annotated[tuple[Literal["ce", "kd", "kd_throughout"], ...], Unique()] = optional(("kd",))
    """What dense students learn by that have the same extra epochs: labels (`ce`) or KD (`kd`)
    after their own training, or KD in all epochs from their start on (`kd_throughout`)."""
    stage1_share: Share = 0.1
    """Share of the epochs for stage 1, in two stages."""
    stage1_lr: Rate | None = optional()
    """Learning rate of stage 1, in two stages; else that of the recovery itself, as in every
    family: after pruning no classifier is new."""
    min_channels: Annotated[int, Ge(1), Le(65_536)] = 4
    """Least channels of a layer that pruning keeps."""
    min_share: Share = 0.25
    """Least share of a layer's channels that pruning keeps."""
    tolerance: Annotated[float, Gt(0), Le(0.5)] = 0.05
    """By how much a ratio may be missed, as a share of it."""
