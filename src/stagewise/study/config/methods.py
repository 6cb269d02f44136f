"""The block ``methods``: methods with settings of their own."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from stagewise import catalogue
from stagewise.study.config.blocks import (
    Block,
    ExitPlaces,
    Names,
    Open,
    Overrides,
    Text,
    optional,
    optional_mapping,
)
from stagewise.study.spec import ClassifierStart


@dataclass(frozen=True, kw_only=True)
class RecipeEntry(Open):
    """A recipe; further keys are its options."""

    recipe: Text
    """File in `recipes/`."""


@dataclass(frozen=True, kw_only=True)
class OwnExits(Block):
    """Exits of a student that differ from those of `multi_exit`."""

    head: Text = optional("")
    """What they are made of, a file in `models/heads/`; `multi_exit.head` where absent."""
    places: ExitPlaces = optional(())
    """Numbers of the stages behind which they stand; `multi_exit.places` where absent."""


@dataclass(frozen=True, kw_only=True)
class MethodEntry(Open):
    """A method under a label, by which steps name it; further keys are options of its class."""

    method: Text = optional("")
    """File in `methods/`; the label itself where absent."""
    title: Text = optional("")
    """What tables and figures call it; made from the label where absent."""
    temperature: Annotated[float, Gt(0), Le(100)] | None = optional()
    """Of the softened answers, where the method has them; its own where absent."""
    weights: dict[Text, Annotated[float, Ge(0), Le(1_000_000)]] = optional_mapping()
    """Loss term to weight, where it differs from the method's."""
    recipe: RecipeEntry | None = optional()
    """How it is trained in `distillation` and `multi_exit`; as its file says where absent."""
    teacher: Literal["teacher", "assistant"] = optional("teacher")
    """Who teaches: the pair's teacher, or the last of its assistants."""
    teacher_exits: Literal["frozen", "joint", "self_distilled"] = optional("frozen")
    """How the teacher of a method that learns from a teacher's exits got them: on its frozen
    backbone, so its own answer is the plain teacher's; by training backbone and exits together from
    scratch, on labels; or likewise, with the deepest exit teaching the others."""
    training: Overrides = optional_mapping()
    """Where the training of its arms differs from their step's."""
    classifier: ClassifierStart = optional("family")
    """How a new classifier on features from elsewhere starts in the arms of `two_stage`: as its
    network's family does (VGGs and MobileNetV2 small, N(0, 0.01²)), as torch's linear layers do, or
    at zero, so that no gradient goes into the features at first."""
    exits: OwnExits = optional(OwnExits())
    """Where the exits of its students differ from those of `multi_exit`; a teacher's do not."""
    pairs: Names = optional(())
    """Those of `distillation.pairs` or `multi_exit.pairs` that it is for, where it does not fit
    all, or pairs have weights of their own; all where absent."""

    def method_options(self) -> dict[str, Any]:
        """Options of the method's class that are given."""
        if self.temperature is None:
            return self.options
        return {**self.options, "temperature": self.temperature}

    def trained_by(self) -> dict[str, Any]:
        """The recipe and its options that are given, or those that the method's file names."""
        return self.recipe.as_dict() if self.recipe else catalogue.method_recipe(self.method)
