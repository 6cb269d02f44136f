"""A whole configuration: its blocks, with all defaults."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import MaxLen, MinLen

from stagewise.study.config.blocks import (
    MOST,
    Block,
    Label,
    Names,
    OneOrMore,
    PairName,
    Seed,
    StudyName,
    Text,
    Unique,
    optional,
    optional_mapping,
)
from stagewise.study.config.compression import Pruning, Recovery
from stagewise.study.config.data import Data
from stagewise.study.config.methods import MethodEntry
from stagewise.study.config.pairs import NetworkEntry, Pair, Teacher
from stagewise.study.config.results import (
    Comparison,
    Equivalence,
    Evaluation,
    Figures,
    Gate,
    GradCam,
    OwnClaim,
    Strength,
    Table,
    Tune,
)
from stagewise.study.config.steps import Distillation, MultiExit, Students, Teachers, TwoStage
from stagewise.study.config.target import Target
from stagewise.study.spec import Rate, Training


@dataclass(frozen=True, kw_only=True)
class Config(Block):
    """A Stagewise study."""

    study: StudyName
    """Name; its runs live in `runs/<study>/`."""
    title: Text = ""
    """What reports call it."""
    claims_tested: Names = ()
    """Claims that this study's data can decide; all others are at most demonstrated."""
    claims: Annotated[tuple[OwnClaim, ...], MaxLen(MOST)] = optional(())
    """Claims of its own, which its data are to decide."""
    seeds: Annotated[tuple[Seed, ...], MinLen(1), MaxLen(MOST), Unique()] = (0, 1, 2, 3, 4, 5)
    """Seeds of all arms; each is a replicate of what `replicates` says."""
    replicates: Literal["students", "chains"] = "students"
    """What a seed draws anew: the student alone (its weights, order and views of the images; one
    teacher serves all), or its whole chain: teacher, pretrained features, which classes are the
    source, and which images are the few."""
    data: Data
    """Images, and how they are split."""
    pairs: Annotated[dict[PairName, Pair], MinLen(1), MaxLen(MOST)] = field(default_factory=dict)
    """Teachers and their students, by the name of the pair."""
    teacher: Teacher | None = optional()
    """Instead of `pairs`, where there is one teacher: the network that teaches."""
    student: Annotated[tuple[NetworkEntry, ...], OneOrMore(), MaxLen(MOST)] = optional(())
    """Its student, or a list of several; each makes a pair that is called as its network is."""
    training: Training = Training()
    """How all runs are trained, where their step does not say otherwise."""
    learning_rates: Annotated[dict[Text, Rate], MaxLen(100 * MOST)] = field(default_factory=dict)
    """Arm (`step/name`) to learning rate; chosen on validation by the tuning study. A name with `*`
    stands for all arms that it fits and that are not listed themselves, as a rate that was given,
    not chosen."""
    stage1_rates: Annotated[dict[Text, Rate], MaxLen(100 * MOST)] = optional_mapping()
    """Arm of two stages to the learning rate of its stage 1, chosen likewise."""
    strengths: Annotated[dict[Text, Strength], MaxLen(100 * MOST)] = optional_mapping()
    """Arm to a factor of the weights of all its loss terms but the labels', chosen likewise."""
    methods: Annotated[dict[Label, MethodEntry], MaxLen(MOST)] = field(default_factory=dict)
    """Methods with settings of their own, and variants, by label."""
    teachers: Teachers = Teachers()
    """The teachers."""
    students: Students = Students()
    """The students alone."""
    distillation: Distillation = Distillation()
    """Methods from scratch."""
    two_stage: TwoStage = TwoStage()
    """Paper A's methods."""
    multi_exit: MultiExit = MultiExit()
    """Paper B's methods."""
    pruning: Annotated[tuple[Pruning, ...], MaxLen(MOST)] = ()
    """What is pruned."""
    recovery: Recovery = Recovery()
    """What comes after pruning."""
    evaluation: Evaluation = Evaluation()
    """What is measured."""
    gradcam: GradCam = optional(GradCam())
    """Where exits look."""
    gate: Gate = Gate()
    """What a verdict needs."""
    comparison: Comparison = optional(Comparison())
    """What is compared where a pair has many methods."""
    target: Target | None = optional()
    """What a network that ships must reach; see docs/ship.md."""
    tune: Tune | None = optional()
    """What a tuning study tries."""
    equivalence: Equivalence | None = optional()
    """The study that this one is compared with."""
    table: Table = Table()
    """Where teachers' answers are kept."""
    figures: Figures = Figures()
    """How figures are drawn."""

    @property
    def prunings(self) -> list[tuple[str, Pruning]]:
        """Key and block of all that is pruned: of ``pruning``, and the candidates of a target."""
        own = [(f"pruning.{index}", block) for index, block in enumerate(self.pruning)]
        tried = self.target.prunings(next(iter(self.pairs), "")) if self.target else ()
        return own + [("target.candidates", block) for block in tried]

    @property
    def teacher_seeds(self) -> tuple[int, ...]:
        """Seeds of the teachers and of what is trained on them."""
        return self.seeds if self.replicates == "chains" else (self.teachers.seed,)

    @property
    def pretraining_seeds(self) -> tuple[int, ...]:
        """Seeds of the pretraining."""
        one = self.two_stage.pretraining.seed
        return self.seeds if self.replicates == "chains" else (one,)

    def method(self, label: str) -> MethodEntry:
        """The entry of a label, with its method; of the method's own name where there is none."""
        entry = self.methods.get(label, MethodEntry())
        return entry if entry.method else replace(entry, method=label)

    def serves(self, label: str, pair: str) -> bool:
        """Whether the method of a label, from scratch, is for a pair."""
        own = self.methods.get(label, MethodEntry()).pairs
        return not own or pair in own

    def exits(self, label: str) -> tuple[str, tuple[int, ...]]:
        """Head and places of the exits of the students that the method of a label teaches."""
        own, usual = self.method(label).exits, self.multi_exit
        return own.head or usual.head, own.places or usual.places

    def taught_steps(self) -> dict[str, Distillation | TwoStage | MultiExit]:
        """The steps that give methods to pairs."""
        return {
            "distillation": self.distillation,
            "two_stage": self.two_stage,
            "multi_exit": self.multi_exit,
        }

    def trained(self, *overrides: dict[str, Any]) -> Training:
        """The study's training with some blocks laid over it, the later ones on top."""
        merged: dict[str, Any] = {}
        for given in overrides:
            merged |= given
        return replace(self.training, **merged)

    def overrides(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Dotted key and content of every block that changes training."""
        yield "teachers.training", self.teachers.training
        yield "students.training", self.students.training
        yield "two_stage.training", self.two_stage.training
        yield "two_stage.pretraining.training", self.two_stage.pretraining.training
        yield "multi_exit.teacher_exits", self.multi_exit.teacher_exits
        yield "recovery.training", self.recovery.training
        for name, given in self.recovery.families.items():
            yield f"recovery.families.{name}", given
        for label, entry in self.methods.items():
            yield f"methods.{label}.training", entry.training
        for name, pair in self.pairs.items():
            for number, assistant in enumerate(pair.assistants):
                yield f"pairs.{name}.assistants.{number}.training", assistant.training
