"""The block ``pairs``: who teaches whom."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MaxLen

from stagewise.study.config.blocks import (
    Block,
    Open,
    Overrides,
    Places,
    Text,
    optional,
    optional_mapping,
)


@dataclass(frozen=True, kw_only=True)
class NetworkEntry(Open):
    """A network of the zoo; further keys are options of its `build` function, such as `width`."""

    network: Text
    """Its name, as in docs/zoo.md; a teacher may be another library's: `torchvision:resnet50`."""


HOSTED = "torchvision"
"""In the place of a file: torchvision's own weights."""

Channels = Annotated[tuple[Annotated[float, Ge(0), Le(1)], ...], MaxLen(16)]


@dataclass(frozen=True, kw_only=True)
class Teacher(NetworkEntry):
    """The network that teaches: trained here, or with weights of your own."""

    weights: Text = optional("")
    """A file with its weights: `torch.save(network.state_dict(), …)`, or safetensors. Then it is
    not trained here. `torchvision` for the ImageNet weights of a network of torchvision, which are
    fetched."""
    sha256: Text = optional("")
    """Of that file; one of torch's is opened only where this says that it is the one you mean."""
    head: Literal["kept", "new"] = optional("kept")
    """`new`: the file's last layer is for other classes; a new one, and the rest, are trained as
    teachers are."""
    mirrors: Places = optional(())
    """Where else torchvision's file may come from: folders or base URLs that hold it under its own
    name."""
    mean: Channels = optional(())
    """What pixels from 0 to 1 were normalised by in another library's network; ImageNet's where not
    said."""
    std: Channels = optional(())
    """The same, the deviation."""

    @property
    def hosted(self) -> bool:
        """Whether its weights are torchvision's own."""
        return self.weights == HOSTED


@dataclass(frozen=True, kw_only=True)
class Assistant(NetworkEntry):
    """A network between teacher and student: taught by the one above it with KD, once, on the
    teachers' images."""

    training: Overrides = optional_mapping()
    """Where its training differs from the teachers'."""


@dataclass(frozen=True, kw_only=True)
class Pair(Block):
    """A teacher, its student, and maybe assistants between them."""

    teacher: Teacher
    """The network that teaches."""
    student: NetworkEntry
    """The network that learns."""
    assistants: Annotated[tuple[Assistant, ...], MaxLen(8)] = optional(())
    """From the teacher down; methods with `teacher: assistant` learn from the last."""
    wide: NetworkEntry | None = optional()
    """The student with a larger `width`, so that it takes as many multiply-adds as the student with
    exits, for `multi_exit.controls`; `scripts/widths.py` finds the width."""
