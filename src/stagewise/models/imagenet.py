"""Torchvision's ImageNet weights as a start (regime P-in1k of paper A's reconstruction).

The file is fetched from torchvision's host, or lies where a user has put it; it is read after its
checksum, by torch's restricted unpickler, and becomes a weight file of this project. A residual
network keeps the classifier of the 1,000 classes; a VGG gets a new one, as its own has one layer
and torchvision's three. A run that starts from ``features`` replaces it in either case. Images are
normalised by their own mean and deviation, not by ImageNet's.
"""

from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.models.features import Network
from stagewise.models.resnet_imagenet import NativeResNet
from stagewise.models.store import Architecture, build
from stagewise.models.vgg import VGG

HOST = "https://download.pytorch.org/models"
CLASSES = 1000

WEIGHTS = {
    "resnet18-imagenet": (
        "ResNet18_Weights.IMAGENET1K_V1",
        "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    ),
    "resnet34-imagenet": (
        "ResNet34_Weights.IMAGENET1K_V1",
        "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    ),
    "resnet50-imagenet": (
        "ResNet50_Weights.IMAGENET1K_V1",
        "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    ),
    "resnet101-imagenet": (
        "ResNet101_Weights.IMAGENET1K_V1",
        "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
    ),
    "resnet152-imagenet": (
        "ResNet152_Weights.IMAGENET1K_V1",
        "resnet152-394f9c45.pth",
        "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
    ),
    "vgg11": ("VGG11_BN_Weights.IMAGENET1K_V1", "vgg11_bn-6002323d.pth", "6002323d"),
    "vgg13": ("VGG13_BN_Weights.IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", "abd245e5"),
    "vgg16": (
        "VGG16_BN_Weights.IMAGENET1K_V1",
        "vgg16_bn-6c64b313.pth",
        "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
    ),
    "vgg19": (
        "VGG19_BN_Weights.IMAGENET1K_V1",
        "vgg19_bn-c79401a0.pth",
        "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
    ),
}
"""Network → torchvision's name of the weights, their file, and its SHA-256 or the first eight
digits of it, which torchvision puts into the file's name."""


def fetch(network: str, folder: Path) -> Path:
    """Torchvision's file for ``network``, checked; downloaded where ``folder`` lacks it.

    Raises:
        UserError: torchvision has no weights for this network, the host cannot be reached, or the
            file is another.
    """
    if network not in WEIGHTS:
        raise UserError(
            f"'{network:.40}': torchvision has no ImageNet weights for this network;"
            f" take one of {', '.join(WEIGHTS)}"
        )
    _, file, sha256 = WEIGHTS[network]
    url, path = f"{HOST}/{file}", folder / file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256, progress=False)
        except (OSError, HTTPException, RuntimeError) as error:
            raise UserError(
                f"{url}: cannot be fetched ({error}); download it on another machine and put it at"
                f" {path}"
            ) from None
    found = sha256_file(path)
    if not found.startswith(sha256):
        raise UserError(
            f"{path}: has SHA-256 {found}, not {sha256}; delete it, so that it is fetched again, or"
            f" put {url} there"
        )
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of torchvision's; nothing in it is executed.

    Raises:
        UserError: the file is broken, or holds anything but named tensors.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: no weights of torchvision ({reason}); fetch it again") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"{path}: holds more than named tensors; fetch it again")
    return tensors


def converted(
    network: str, tensors: dict[str, Tensor], image_size: int
) -> tuple[Network, Architecture]:
    """``network`` with torchvision's ``tensors``, for colour images of ``image_size`` pixels.

    Raises:
        UserError: a tensor is missing, or of another shape.
    """
    options = catalogue.network_options(network)
    architecture = Architecture(network, options, CLASSES, 3, image_size)
    built = build(architecture, seed=0)
    assert isinstance(built, NativeResNet | VGG)
    own = built.state_dict()
    for part, theirs in built.torchvision_names().items():
        for name in own:
            rest = name.removeprefix(f"{part}.")
            if rest == name or rest.endswith("num_batches_tracked"):
                continue
            found = tensors.get(f"{theirs}.{rest}")
            if found is None or found.shape != own[name].shape:
                shape = None if found is None else list(found.shape)
                raise UserError(
                    f"{network}: torchvision's '{theirs}.{rest}' has shape {shape}, not"
                    f" {list(own[name].shape)}; fetch the weights again"
                )
            own[name].copy_(found)
    return built, architecture
