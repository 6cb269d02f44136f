"""The blocks of what is measured, judged and drawn."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import StringConstraints

from stagewise.study.config.blocks import (
    MOST,
    Block,
    Names,
    PairName,
    StudyName,
    Text,
    Unique,
    optional,
    optional_mapping,
)
from stagewise.study.spec import Rate

Strength = Annotated[float, Gt(0), Le(1_000_000)]
"""A factor of the weights of an arm's loss terms, but for the labels'."""
Batch = Annotated[int, Ge(1), Le(65_536)]


@dataclass(frozen=True, kw_only=True)
class Evaluation(Block):
    """How runs are measured."""

    ece_bins: Annotated[int, Ge(2), Le(100)] = 15
    """Bins of the expected calibration error."""
    latency_batches: Annotated[tuple[Batch, ...], MinLen(1), MaxLen(MOST), Unique()] = (1, 128)
    """Batch sizes, in images, that latency is measured with."""
    latency_repeats: Annotated[int, Ge(3), Le(100_000)] = 30
    """Forward passes of a latency."""


@dataclass(frozen=True, kw_only=True)
class GradCam(Block):
    """Whether the students of `multi_exit.pairs` look where their teachers look, exit by exit; it
    reads weights, and trains nothing."""

    enabled: bool = True
    """Compare Grad-CAM maps."""
    images: Annotated[int, Ge(1), Le(100_000)] = 1000
    """Test images of the sample, at most: a fixed draw in which every class has its share."""


@dataclass(frozen=True, kw_only=True)
class Gate(Block):
    """What a pair must show before claims are judged on it."""

    points: Annotated[float, Ge(-100), Le(100)] = 4.0
    """Least lead of the teacher over the baseline student, in points of validation accuracy, in
    its pair and on the two-stage task; not judged where `data.validation` is 0."""
    exit_points: Annotated[float, Ge(0), Le(100)] = 1.0
    """Most points by which the student with exits, without a teacher, may fall below the plain
    one; else nothing is said of exits in that pair."""


@dataclass(frozen=True, kw_only=True)
class Wider(Block):
    """Further rates of one arm."""

    rates: Annotated[tuple[Rate, ...], MaxLen(MOST), Unique()] = ()
    """Learning rates."""
    stage1_rates: Annotated[tuple[Rate, ...], MaxLen(MOST), Unique()] = ()
    """Learning rates of stage 1."""
    strengths: Annotated[tuple[Strength, ...], MaxLen(MOST), Unique()] = ()
    """Factors of the loss weights."""


@dataclass(frozen=True, kw_only=True)
class Tune(Block):
    """Makes the study a tuning study: every arm once per rate, judged on validation."""

    rates: Annotated[tuple[Rate, ...], MinLen(1), MaxLen(MOST), Unique()]
    """Learning rates."""
    stage1_rates: Annotated[tuple[Rate, ...], MaxLen(MOST), Unique()] = ()
    """Learning rates of stage 1, each with each rate, in arms of two stages; none keeps the
    config's."""
    strengths: Annotated[tuple[Strength, ...], MaxLen(MOST), Unique()] = ()
    """Factors of the weights of all loss terms but the labels', each with each rate, in arms that
    have such terms; none keeps the config's."""
    wider: Annotated[dict[Text, Wider], MaxLen(100 * MOST)] = optional_mapping()
    """Arm to further rates, or to a grid of its own where `rates` and `strengths` have one value or
    none; `scripts/tune_choice.py` writes more of them where the best is at an edge."""


@dataclass(frozen=True, kw_only=True)
class Equivalence(Block):
    """Compares this study with the same study computed otherwise, as in another precision."""

    study: StudyName
    """The other study; its results must be there."""
    margin: Annotated[float, Gt(0), Le(100)]
    """Points within which accuracies count as equal; at least 1 on CPUs."""


@dataclass(frozen=True, kw_only=True)
class Published(Block):
    """Whose published accuracies stand beside a pair's."""

    teacher: Text
    """Network of the zoo."""
    student: Text
    """Network of the zoo."""
    dataset: Text = optional("")
    """Its data set; `data.source` where absent."""
    source: Text = optional("")
    """Start of the name of the table, as `papers/published_values.csv` has it; where absent, the
    one that has most of the methods."""


@dataclass(frozen=True, kw_only=True)
class Comparison(Block):
    """Many methods at once: what is compared with what, as families of tests."""

    references: Names = ("kd", "baseline")
    """What every method of a pair is compared with, each a family of tests: labels of methods, or
    `baseline`, the student alone."""
    methods: Names = ()
    """Labels that are compared; none stands for all of `distillation` and `multi_exit`."""
    published: Annotated[dict[PairName, Published], MaxLen(MOST)] = optional_mapping()
    """Pair to the published table beside which its order stands; where absent, that of its own
    networks, if these have their published size."""


@dataclass(frozen=True, kw_only=True)
class Side(Block):
    """One side of a contrast."""

    arm: Text
    """`step/name`, with `{pair}` for the pair."""
    exit: Text = optional("main")
    """Of a network with exits: `main` (the ensemble), `ensemble`, `last`, or a number."""
    minus_exit: Text = optional("")
    """Where given, the gain over this exit of the same run."""


@dataclass(frozen=True, kw_only=True)
class OwnContrast(Block):
    """Two arms, seed by seed, or one against a threshold."""

    name: Text
    """What is shown, such as `KD − CE`."""
    role: Literal["headline", "secondary"] = "headline"
    """Headline contrasts decide the claim, the others are shown beside them."""
    rule: Literal["difference", "below", "above", "halved", "no_gain"] = "difference"
    """How it is judged (`analysis/claims/rules.py`)."""
    treatment: Side
    """What is said to be better."""
    control: Side | None = optional()
    """What it is compared with."""
    measure: Text = optional("test_accuracy")
    """Accuracy, or a quantity of the gradient shock."""
    unit: Literal["points", "ratio", "relative"] = optional("points")
    """Of the effect."""
    threshold: float | None = optional()
    """Of the rule `above`."""


@dataclass(frozen=True, kw_only=True)
class OwnClaim(Block):
    """A claim of this study's own, judged by the same rules as those of the papers."""

    id: Annotated[str, StringConstraints(pattern="^[A-Z][A-Za-z0-9]*$", max_length=20)]
    """Its name, such as `X1`."""
    title: Text
    """In a few words."""
    wording: Text
    """What is claimed."""
    holds: Text
    """What was found where it holds, as a clause: `KD beat the student alone`."""
    fails: Text
    """The same where it does not."""
    open: Text
    """The question: `whether KD beats the student alone`."""
    chapter: Literal["shock", "compression", "exits", "comparison", "all"] = "all"
    """Chapter of the report in which it stands."""
    contrasts: Annotated[tuple[OwnContrast, ...], MinLen(1), MaxLen(MOST)]
    """What is compared."""


@dataclass(frozen=True, kw_only=True)
class Table(Block):
    """Teachers' answers that are kept in `work/tables`."""

    max_gb: Annotated[float, Ge(0), Le(100_000)] = 4.0
    """Most disk space for them, in GiB; 0 keeps none. It changes no result."""


@dataclass(frozen=True, kw_only=True)
class Figures(Block):
    """How figures are drawn."""

    dpi: Annotated[int, Ge(40), Le(600)] = 300
    """Pixels an inch of the PNG files."""
    format: Literal["column", "page", "slide"] = optional("column")
    """What they are drawn for: a column of a paper (3.6 inches), its whole width (7.2 inches), or a
    slide (16:9, large type)."""
