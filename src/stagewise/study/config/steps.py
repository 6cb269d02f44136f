"""The blocks of the steps that train whole networks."""

from dataclasses import dataclass, field
from typing import Literal

from stagewise.study.config.blocks import Block, Names, Overrides, Places, Seed, Share
from stagewise.study.spec import Rate


@dataclass(frozen=True, kw_only=True)
class Teachers(Block):
    """One teacher for each pair, from one seed."""

    seed: Seed = 0
    """Seed of all teachers, of their assistants and of what is trained on them."""
    same_data: bool = True
    """Also train the teacher's network on the student's images, as an arm."""
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
    """Seed of the pretraining, one for all seeds of the students."""
    training: Overrides = field(default_factory=dict)
    """Where its training differs."""


@dataclass(frozen=True, kw_only=True)
class TwoStage(Block):
    """Paper A: each method in one stage and in two, on features from elsewhere."""

    pairs: Names = ()
    """Pairs that it trains."""
    methods: Names = ("kd",)
    """Methods of the two-stage arms; each has its one-stage twin."""
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
    probe: bool = True
    """Log the gradient-shock quantities."""


@dataclass(frozen=True, kw_only=True)
class MultiExit(Block):
    """Paper B: students with exits."""

    pairs: Names = ()
    """Pairs that it trains."""
    methods: Names = ("exits_ce", "mskd", "oto")
    """Methods that need exits."""
    head: Literal["sepatt", "linear"] = "sepatt"
    """What an exit is made of: separable convolutions with attention, or one linear layer."""
    teacher_exits: Overrides = field(default_factory=dict)
    """Where the training of the teacher's exits, on its frozen backbone, differs from its own."""
