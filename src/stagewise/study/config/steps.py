"""The blocks of the steps that train whole networks."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import MaxLen

from stagewise.study.config.blocks import (
    Block,
    ExitPlaces,
    Names,
    Overrides,
    Places,
    Seed,
    Share,
    Text,
    Unique,
    optional,
)
from stagewise.study.spec import Rate


@dataclass(frozen=True, kw_only=True)
class Teachers(Block):
    """One teacher for each pair; where `replicates` is `chains`, one for each seed."""

    seed: Seed = 0
    """Seed of all teachers, of their assistants and of what is trained on them, where one serves
    all seeds of the students."""
    same_data: bool = True
    """Where students see fewer images than teachers, also train the teacher's network on those, as
    an arm; on the target classes of `two_stage` too."""
    training: Overrides = field(default_factory=dict)
    """Where their training differs."""


@dataclass(frozen=True, kw_only=True)
class Students(Block):
    """Students alone, and the budget of all students from scratch."""

    training: Overrides = field(default_factory=dict)
    """Where their training differs; `distillation` and `multi_exit` take it too."""


@dataclass(frozen=True, kw_only=True)
class Distillation(Block):
    """Each method on each pair, from scratch."""

    pairs: Names = ()
    """Pairs that it trains."""
    methods: Names = ()
    """Labels of `methods`, or files in `methods/`."""


@dataclass(frozen=True, kw_only=True)
class Pretraining(Block):
    """The student's network on the source classes, in regime `split`."""

    seed: Seed = 0
    """Seed of the pretraining, where one serves all seeds of the students."""
    training: Overrides = field(default_factory=dict)
    """Where its training differs."""


@dataclass(frozen=True, kw_only=True)
class TwoStage(Block):
    """Paper A: each method in one stage and in two, on features from elsewhere."""

    pairs: Names = ()
    """Pairs that it trains."""
    methods: Names = ("kd",)
    """Methods of the two-stage arms; each has its one-stage twin."""
    arms: Names = optional(())
    """Labels of `methods`, each an arm trained by its own recipe from the same features: other
    remedies for a gradient shock, and two stages in other forms."""
    regime: Literal["split", "imagenet", "scratch"] = "split"
    """Where students' features come from: other classes, ImageNet (teachers' too), nowhere."""
    mirrors: Places = ()
    """Where else torchvision's weights lie: folders or base URLs, tried in this order."""
    pretraining: Pretraining = Pretraining()
    """What makes the features in regime `split`."""
    training: Overrides = field(default_factory=dict)
    """Where the training of its arms differs."""
    stage1_share: Share = 0.1
    """Share of the epochs for stage 1."""
    stage1_lr: Rate = 0.1
    """Learning rate of stage 1."""
    common_rates: Annotated[tuple[Rate, ...], MaxLen(10), Unique()] = ()
    """Learning rates at which every arm is trained once more, all arms at the same ones: a shock
    follows the rate, so arms are compared at equal rates too. They are the features'."""
    probe: bool = True
    """Log the gradient-shock quantities."""
    probe_own_rates: bool = True
    """Log them at each arm's own rate too, and not at the common rates alone: a look takes longer
    than many steps of a small network."""


@dataclass(frozen=True, kw_only=True)
class MultiExit(Block):
    """Paper B: students with exits."""

    pairs: Names = ()
    """Pairs that it trains."""
    methods: Names = ("exits_ce", "mskd", "oto")
    """Methods that need exits."""
    head: Text = "sepatt"
    """What an exit is made of, a file in `models/heads/`: separable convolutions behind an
    attention gate (`sepatt`; `sepatt_strided` where VGG's last stage is to add none; `sep` has no
    gate), bottlenecks (`scala`, `bottleneck`), a copy of the stages that follow (`deepcopy`), one
    linear layer (`linear`)."""
    places: ExitPlaces = optional(())
    """Numbers of the stages behind which exits stand, of students and of the teachers that teach
    exits, rising; the last exit is always the network's own classifier, behind its last stage,
    which is not named. All stages where absent."""
    teacher_exits: Overrides = field(default_factory=dict)
    """Where the training of the teacher's exits, on its frozen backbone, differs from its own."""
    controls: Annotated[tuple[Literal["wide", "twice"], ...], Unique()] = optional(())
    """Networks without exits to compare with, trained by KD: `wide`, the pair's `wide`; `twice`, a
    second student with a seed of its own, which answers with that of `distillation` as an
    ensemble."""
