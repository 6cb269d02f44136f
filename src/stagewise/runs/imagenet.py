"""Torchvision's ImageNet weights as a start (regime P-in1k of paper A's reconstruction).

The file is fetched from torchvision's host, or lies in a user's folder; it is read after its
checksum, by torch's restricted unpickler, and becomes a weight file of this project. A residual
network keeps the classifier of the 1,000 classes; a VGG gets a new one, as its own has one layer
and torchvision's three. A run that starts from ``features`` replaces it in either case. Images are
normalised by their own mean and deviation, not by ImageNet's.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stagewise import catalogue
from stagewise.data.fetch import first_good
from stagewise.errors import UserError
from stagewise.files import sha256_file
from stagewise.models.features import Network
from stagewise.models.resnet_imagenet import NativeResNet
from stagewise.models.store import Architecture, build, save_network
from stagewise.models.vgg import VGG
from stagewise.runs.state_dicts import only_tensors, unpickled

HOST = "https://download.pytorch.org/models"
CLASSES = 1000
WEIGHTS: dict[str, tuple[str, str, str]] = {
    name: weights
    for name in catalogue.networks()
    if (weights := catalogue.network_fact(name, "IMAGENET"))
}
"""Network → torchvision's weights (``IMAGENET`` of its file)."""
MEND = "fetch it again"
LARGEST = 600_000_000
"""Bytes; more is none of torchvision's files for the networks that start from them."""
LARGEST_HOSTED = 3_000_000_000
"""The same, for any of its networks."""


def fetch(network: str, cache: Path, mirrors: Sequence[str] = ()) -> dict[str, Tensor]:
    """Torchvision's tensors for ``network``, checked: from its host, or from the first good mirror,
    a folder or base URL that holds the file under torchvision's name.

    Raises:
        UserError: torchvision has no weights for this network, or no place has the right file.
    """
    if network not in WEIGHTS:
        raise UserError(
            f"'{network:.40}': torchvision has no ImageNet weights for this network;"
            f" take one of {', '.join(WEIGHTS)}"
        )
    _, file, sha256 = WEIGHTS[network]
    places = [f"{place.rstrip('/')}/{file}" for place in (HOST, *mirrors)]
    return first_good(
        places, cache, lambda path: read(path, sha256), LARGEST, key="two_stage.mirrors"
    )


def hosted(network: str, cache: Path, mirrors: Sequence[str] = ()) -> dict[str, Tensor]:
    """Torchvision's own tensors of ``torchvision:<name>``, checked by the start of the SHA-256 that
    its file's name ends in: from its host, or from the first good mirror.

    Raises:
        UserError: no place has the right file.
    """
    address = _address(network.partition(":")[2])
    file = address.rpartition("/")[2]
    sha256 = file.removesuffix(".pth").rpartition("-")[2]
    places = [address, *(f"{place.rstrip('/')}/{file}" for place in mirrors)]
    return first_good(
        places, cache, lambda path: read(path, sha256), LARGEST_HOSTED, key="teacher.mirrors"
    )


def _address(name: str) -> str:
    """Where torchvision keeps its best weights of a network."""
    from torchvision.models import get_model_weights

    return str(get_model_weights(name).DEFAULT.url)


def read(path: Path, sha256: str = "") -> dict[str, Tensor]:
    """The tensors of a file of torchvision's whose checksum begins so; nothing in it is executed.

    Raises:
        UserError: the file is another, is broken, or holds anything but named tensors.
    """
    found = sha256_file(path)
    if not found.startswith(sha256):
        raise UserError(f"{path}: has SHA-256 {found}, not {sha256}; {MEND}")
    content = unpickled(path, "weights of torchvision", MEND)
    return only_tensors(content, path, MEND)


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


def make_start(
    network: str, image_size: int, out: Path, *, cache: Path, mirrors: Sequence[str] = ()
) -> None:
    """Write the weight file that runs start from; ``cache`` is for torchvision's file.

    Raises:
        UserError: see ``fetch`` and ``converted``.
    """
    save_network(*converted(network, fetch(network, cache, mirrors), image_size), out)
