"""A user's own teacher: weights of a network of the zoo or of another library, from a file, as a
weight file that runs learn from. Its networks are checked before anything trains."""

from dataclasses import dataclass
from pathlib import Path

import torch

from stagewise import catalogue
from stagewise.data.prepared import load_prepared
from stagewise.errors import UserError
from stagewise.models.features import Network
from stagewise.models.foreign.base import MEAN, STD, Foreign
from stagewise.models.store import Architecture, build, save_network
from stagewise.runs.imagenet import hosted
from stagewise.runs.state_dicts import own_tensors
from stagewise.study.config.pairs import Teacher

DOWNLOADS = Path("work/downloads")


@dataclass(frozen=True)
class Seen:
    """The images that it will be shown, and the mean and deviation that they are normalised by;
    these two are empty where they are not known yet."""

    classes: int
    channels: int
    size: int
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def given_teacher(
    teacher: Teacher, seen: Seen, cache: Path = DOWNLOADS
) -> tuple[Network, Architecture]:
    """The network with the file's weights; with ``head: new`` its classifier is new. Torchvision's
    own file is fetched into ``cache``.

    Raises:
        UserError: the file is broken, or of another network or other classes.
    """
    name, path = teacher.network, Path(teacher.weights).expanduser()
    tensors = (
        hosted(name, cache, teacher.mirrors)
        if teacher.hosted
        else own_tensors(path, teacher.sha256)
    )
    options = catalogue.network_options(name) | teacher.options
    architecture = Architecture(name, options, seen.classes, seen.channels, seen.size)
    network = build(architecture, seed=0)
    head = teacher.head == "kept"
    try:
        if isinstance(network, Foreign):
            network.take(tensors, head=head)
        else:
            _take(network, tensors, head)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(
            f"{path}: its weights do not fit '{name}' for {seen.classes} classes ({reason}); name"
            " the network and the file that belong together, or, for other classes, add `head: new`"
        ) from None
    for key, tensor in network.state_dict().items():
        if not tensor.isfinite().all():
            raise UserError(f"{path}: '{key}' holds values that are not finite; give another file")
    if isinstance(network, Foreign) and seen.mean:
        network.adapt((seen.mean, seen.std), (teacher.mean or MEAN, teacher.std or STD))
    return network, architecture


def _take(network: Network, tensors: dict[str, torch.Tensor], head: bool) -> None:
    """Fill in a network of the zoo; raises ``RuntimeError`` where names or shapes do not fit."""
    own = network.state_dict()
    new = {} if head else {n: t for n, t in own.items() if n.startswith("classifier.")}
    network.load_state_dict({**tensors, **new})


def make_given(teacher: Teacher, data: Path, out: Path) -> None:
    """Write the weight file, for the images of prepared ``data``.

    Raises:
        UserError: see ``given_teacher``.
    """
    arrays, info = load_prepared(data)
    _, channels, size, _ = arrays["train.images"].shape
    mean, std = tuple(info["mean"]), tuple(info["std"])
    seen = Seen(len(info["classes"]), channels, size, mean, std)
    save_network(*given_teacher(teacher, seen), out)
