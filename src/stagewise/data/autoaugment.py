"""AutoAugment's policy for CIFAR-10 (Cubuk et al., CVPR 2019), batched: paper B's OtO*.

Each image draws one of 25 pairs of operations; each of the two happens with its own probability,
to its own degree, in a random direction where it has one. As in ``augment``, all of it is a
function of (seed, epoch, index). Nothing waits for the device: every operation is computed for the
whole batch and kept where it was drawn.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from stagewise.data.augment import AUTOAUGMENT, resample, rotation, uniform

Step = tuple[str, float, int]
"""Operation, probability, level from 0 to 9."""

POLICY: list[tuple[Step, Step]] = [
    (("Invert", 0.1, 0), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 0), ("Equalize", 0.9, 0)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 0), ("Equalize", 0.5, 0)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 0), ("AutoContrast", 0.4, 0)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 0)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 0), ("Equalize", 0.6, 0)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 0)),
    (("AutoContrast", 0.8, 0), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 0)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 0), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 0), ("Invert", 0.1, 0)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 0)),
]


def autoaugment(images: Tensor, seed: int, epoch: int | Tensor, index: Tensor) -> Tensor:
    """Augmented images: uint8 (B, C, H, W), C being 1 or 3, to the same."""
    operation, chance, degree, signed = _tables(images.shape[3], images.device)
    drawn = uniform(AUTOAUGMENT, seed, epoch, index, 5)
    pair = (drawn[:, 0] * len(POLICY)).long()
    for step in (0, 1):
        happens = drawn[:, 1 + step] < chance[pair, step]
        turned = (drawn[:, 3 + step] < 0.5) & signed[pair, step]
        degrees = torch.where(turned, -degree[pair, step], degree[pair, step])
        images = apply(images, torch.where(happens, operation[pair, step], -1), degrees)
    return images


def apply(
    images: Tensor, operation: Tensor, degree: Tensor, functions: "Functions | None" = None
) -> Tensor:
    """Each image after its ``operation`` (B,), a place in ``functions`` or -1, to its degree;
    ``OPERATIONS`` where none are given."""
    result = images
    for number, function in enumerate((functions or OPERATIONS).values()):
        chosen = (operation == number).view(-1, 1, 1, 1)
        result = torch.where(chosen, function(images, degree), result)
    return result


@lru_cache
def _tables(width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(25, 2) tables of the policy: operation, probability, degree, whether it has a direction."""
    names = list(OPERATIONS)

    def table(value: Callable[[Step], float]) -> Tensor:
        return torch.tensor([[value(step) for step in pair] for pair in POLICY], device=device)

    return (
        table(lambda step: names.index(step[0])),
        table(lambda step: step[1]),
        table(lambda step: degree_of(step[0], step[2], width)),
        table(lambda step: step[0] in SIGNED),
    )


def degree_of(operation: str, level: int, width: int) -> float:
    """What a level means, for images of ``width`` pixels."""
    share = level / 9
    largest = {"ShearY": 0.3, "Rotate": 30.0}.get(operation, 0.9)
    if operation.startswith("Translate"):
        return float(int(150 / 331 * width * share))
    if operation == "Posterize":
        return float(8 - round(4 * share))  # bits that stay
    if operation == "Solarize":
        return 255 * (1 - share)
    return largest * share


def _scalar(degree: Tensor) -> Tensor:
    return degree.view(-1, 1, 1, 1)


def _blend(images: Tensor, base: Tensor, degree: Tensor) -> Tensor:
    """From ``base`` through the image, as far again as ``degree`` says."""
    original, base = images.float(), base.float()
    factor = 1 + _scalar(degree)
    return (original * factor + base * (1 - factor)).clamp(0, 255).byte()


def _matrix(degree: Tensor, row: int, column: int) -> Tensor:
    """The identity but for ``degree`` at one place."""
    matrix = torch.eye(2, 3, device=degree.device).repeat(len(degree), 1, 1)
    matrix[:, row, column] = degree
    return matrix


def _shear_y(images: Tensor, degree: Tensor) -> Tensor:
    """Down by ``degree`` pixels for each pixel from the left edge."""
    matrix = _matrix(degree, 1, 0)
    matrix[:, 1, 2] = degree * images.shape[3] / 2
    return resample(images, matrix)


def shear_x(images: Tensor, degree: Tensor) -> Tensor:
    """To the right by ``degree`` pixels for each pixel from the top edge; not in the policy."""
    matrix = _matrix(degree, 0, 1)
    matrix[:, 0, 2] = degree * images.shape[2] / 2
    return resample(images, matrix)


def _translate_x(images: Tensor, degree: Tensor) -> Tensor:
    return resample(images, _matrix(-degree, 0, 2))


def _translate_y(images: Tensor, degree: Tensor) -> Tensor:
    return resample(images, _matrix(-degree, 1, 2))


def _rotate(images: Tensor, degree: Tensor) -> Tensor:
    return resample(images, rotation(degree))


def _grey(images: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    return functional.rgb_to_grayscale(images, 3) if images.shape[1] == 3 else images


def _brightness(images: Tensor, degree: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), degree)


def _color(images: Tensor, degree: Tensor) -> Tensor:
    return _blend(images, _grey(images), degree)


def _contrast(images: Tensor, degree: Tensor) -> Tensor:
    return _blend(images, _grey(images).float().mean((1, 2, 3), keepdim=True).floor(), degree)


def _sharpness(images: Tensor, degree: Tensor) -> Tensor:
    """As torchvision's ``adjust_sharpness``, whose kernel comes from the host: that cannot be part
    of a captured step."""
    channels, soft = images.shape[1], images.float()
    kernel = torch.full((channels, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    soft[..., 1:-1, 1:-1] = conv2d(soft, kernel, groups=channels).round()
    return _blend(images, soft.clamp(0, 255).byte(), degree)


def _posterize(images: Tensor, degree: Tensor) -> Tensor:
    step = 2 ** (8 - _scalar(degree).clamp(1, 8).int())  # other operations' degrees are no bits
    return (images.int() // step * step).byte()


def _solarize(images: Tensor, degree: Tensor) -> Tensor:
    return torch.where(images >= _scalar(degree), 255 - images, images)


def _autocontrast(images: Tensor, degree: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    stretched: Tensor = functional.autocontrast(images)
    return stretched


def _equalize(images: Tensor, degree: Tensor) -> Tensor:
    from torchvision.transforms.v2 import functional

    flat: Tensor = functional.equalize(images)
    return flat


def _invert(images: Tensor, degree: Tensor) -> Tensor:
    return 255 - images


Functions = dict[str, Callable[[Tensor, Tensor], Tensor]]
OPERATIONS: Functions = {
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Rotate": _rotate,
    "Brightness": _brightness,
    "Color": _color,
    "Contrast": _contrast,
    "Sharpness": _sharpness,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "AutoContrast": _autocontrast,
    "Equalize": _equalize,
    "Invert": _invert,
}
"""Operation → function of uint8 images and degrees (B,)."""
SIGNED = {
    "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness",
}  # fmt: skip
"""Those with a direction."""
