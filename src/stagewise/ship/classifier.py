"""A run's network as a function from pictures to what they show; its folder is all that is needed.

::

    network = stagewise.load("runs/digits/distillation/resnet.kd/seed-0")
    network("cat.jpg")  # [{"cat": 0.93, "dog": 0.06, …}]
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stagewise.analysis.records.run_files import Taken
from stagewise.data.names import shown
from stagewise.data.pixels import fitted, read_pixels
from stagewise.errors import UserError
from stagewise.models.features import Network
from stagewise.runs.finished import finished

Picture = Path | str | bytes | Image.Image | NDArray[np.uint8]
"""A file, a file's bytes, or a picture that is open: of Pillow, or (H, W) or (H, W, 3) in uint8."""

Answer = dict[str, float]
"""Class → its probability, the largest first."""


@dataclass(frozen=True)
class Classifier:
    """Gives pictures the size, the channels and the scale that ``network`` was trained on."""

    network: Network
    classes: list[str]
    taken: Taken

    def __call__(self, *pictures: Picture) -> list[Answer]:
        """What each picture shows; of a network with several exits, by the mean of their logits.

        Raises:
            UserError: a picture cannot be read.
        """
        pixels = np.stack([self.pixels(picture) for picture in pictures])
        return [
            {self.classes[number]: float(row[number]) for number in row.argsort(descending=True)}
            for row in self.probabilities(torch.from_numpy(pixels))
        ]

    def pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """(C, S, S) of a picture: upright, scaled, cropped to the centre; grey where C is 1.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return coloured(_opened(picture, self.taken.size), self.taken.channels)
        except Exception as error:  # Pillow raises nearly everything on a damaged file
            named = isinstance(picture, Path | str)
            name = shown(picture) if named else f"a picture given as {type(picture).__name__}"
            why = shown(error or type(error).__name__)
            raise UserError(f"{name}: cannot be read as an image ({why}); give another") from None

    def normalise(self, pixels: Tensor) -> Tensor:
        """(N, C, S, S) uint8 as the network takes them."""
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (self.taken.mean, self.taken.std))
        return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """(N, C, S, S) uint8 → (N, classes)."""
        answer: Tensor = self.network(self.normalise(pixels)).answer
        return answer.softmax(1)


def _opened(picture: Picture, size: int) -> NDArray[np.uint8]:
    """(3, size, size)."""
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    if isinstance(picture, Image.Image):
        return fitted(picture, size)
    return read_pixels(Path(picture) if isinstance(picture, str) else picture, size)


def coloured(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """RGB as it is, or as grey (1, S, S).

    Raises:
        ValueError: pictures do not have so many channels.
    """
    if channels == 3:
        return pixels
    if channels != 1:
        raise ValueError(f"the network takes {channels} channels; pictures have 1 or 3")
    return np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"))[None]


def load(run: Path | str) -> Classifier:
    """The network of a finished run: pruned, cut, or with exits as well.

    Raises:
        UserError: the run is not whole, or its record does not say what pictures it takes.
    """
    files, network, architecture = finished(Path(run))
    record = files.record
    if record.taken is None:
        raise UserError(
            f"{run}: its record does not say how pictures are normalised, as those of earlier"
            " versions do not; run it again"
        )
    stated = (len(record.classes), record.taken.channels, record.taken.size)
    built = (architecture.classes, architecture.channels, architecture.image_size)
    by_channel = (len(record.taken.mean), len(record.taken.std))
    if stated != built or by_channel != (architecture.channels,) * 2:
        raise UserError(
            f"{run}: record and weights are of other (classes, channels, pixels), {stated} and"
            f" {built}; delete it and run again"
        )
    return Classifier(network.eval().requires_grad_(False), record.classes, record.taken)
