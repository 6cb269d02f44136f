"""A network of another library in this project's form: images to logits, without stages."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stagewise.errors import UserError
from stagewise.models.features import Features, Network

UNPRUNABLE = "networks of other libraries teach only"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels: what nearly all published weights were trained under."""
PRIVATE = ("classifier.", "scale", "shift")
"""What is no part of ``body``."""


class Foreign(Network):
    """A ``body`` that ends in a vector, and a classifier; images are given the scale and the size
    that its weights were trained under. There is nothing to tap."""

    stages = ()
    scale: Tensor
    shift: Tensor

    def __init__(self, make: Callable[[int], nn.Module], classes: int, input_size: int) -> None:
        """``make``: a new network of the library for so many classes."""
        super().__init__()
        self.make, self.classes, self.input_size = make, classes, input_size
        self.body = make(classes)
        linear = [n for n, module in self.body.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise UserError("this network does not end in a linear layer; choose another")
        self.head = linear[-1]
        """Name of the last layer in the library's network."""
        last = self.body.get_submodule(self.head)
        assert isinstance(last, nn.Linear)
        self.classifier = nn.Linear(last.in_features, classes)
        self.body.set_submodule(self.head, nn.Identity())
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))

    def initialise(self) -> None:
        """As the library starts it."""
        self.take(self.make(self.classes).state_dict())

    @torch.no_grad()
    def take(self, tensors: Mapping[str, Tensor], *, head: bool = True) -> None:
        """Copy tensors that have the library's names; ``head``: those of the last layer too.

        Raises:
            ValueError: one is missing, has no place, or is of another shape.
        """
        places = {
            self.named_there(name): tensor
            for name, tensor in self.state_dict().items()
            if name not in PRIVATE and (head or not name.startswith("classifier."))
        }
        optional = f"{self.head}.bias"
        for name, tensor in places.items():
            if name not in tensors and name == optional:
                tensor.zero_()
            elif name not in tensors:
                raise ValueError(f"'{name}' is missing")
            elif tensors[name].shape != tensor.shape:
                found = [*tensors[name].shape]
                raise ValueError(f"'{name}' has shape {found}, not {[*tensor.shape]}")
            else:
                tensor.copy_(tensors[name])
        known = {*places, optional, f"{self.head}.weight"}
        if more := [name for name in tensors if name not in known and "aux" not in name.lower()]:
            raise ValueError(f"'{more[0]}' has no place in it")

    def named_there(self, name: str) -> str:
        """What the library calls a tensor of this network."""
        if name.startswith("classifier."):
            return name.replace("classifier", self.head, 1)
        return name.removeprefix("body.")

    @torch.no_grad()
    def adapt(
        self, given: tuple[Sequence[float], Sequence[float]], own: tuple[Sequence[float], ...]
    ) -> None:
        """Take images normalised by ``given`` (mean, deviation) as if they were by its ``own``."""
        (mean, std), (own_mean, own_std) = (
            [torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1) for values in pair]
            for pair in (given, own)
        )
        self.scale.copy_(std / own_std)
        self.shift.copy_((mean - own_mean) / own_std)

    def forward(self, images: Tensor) -> Features:
        """(B, 3, H, W) normalised images → features without taps."""
        x = images * self.scale + self.shift
        if x.shape[-1] != self.input_size:
            size = (self.input_size, self.input_size)
            x = interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
        pooled: Tensor = self.body(x)
        return Features(self.classifier(pooled), {}, pooled)


def colour_only(name: str, channels: int) -> None:
    """Raises ``UserError`` where images are not in colour."""
    if channels != 3:
        raise UserError(f"'{name}' takes colour images, these have {channels} channels")
