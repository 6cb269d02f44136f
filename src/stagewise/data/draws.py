"""What a seed may draw anew of prepared data: its source classes, and the few images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.errors import UserError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """``tasks``: the class numbers of ``all``, ``source`` and ``target``. ``few``: of ``all`` and
    ``target``, the training images that students see."""

    tasks: dict[str, list[int]]
    few: dict[str, Indices]


def few(
    labels: NDArray[np.int64], per_class: int | None, classes: list[int], seed: int | list[int]
) -> Indices:
    """``per_class`` images of each of ``classes`` (all where None), drawn from ``seed``.

    Raises:
        UserError: a class has fewer images than are asked for.
    """
    generator = np.random.default_rng(seed)
    chosen = []
    for number in classes:
        members = np.flatnonzero(labels == number)
        if per_class is not None and per_class > len(members):
            raise UserError(
                f"data: {per_class} images per class are asked for, but class {number} has"
                f" {len(members)} for training; lower student_ or target_images_per_class"
            )
        order = generator.permutation(members)
        chosen.append(order if per_class is None else order[:per_class])
    return np.sort(np.concatenate(chosen))


def drawn(arrays: dict[str, NDArray[Any]], info: dict[str, Any], draw: int) -> Drawn:
    """The ``draw``-th division of prepared data, from 1 on; 0 is the stored one, which the config's
    ``source_classes`` and ``split_seed`` made.

    As many source classes as there, drawn of all, and as many images a class, drawn of the training
    images. The splits into training, validation and test images stay.
    """
    if not draw:
        return Drawn(info["tasks"], {task: arrays[f"few.{task}"] for task in ("all", "target")})
    classes, seed = list(range(len(info["classes"]))), [info["few"]["seed"], draw]
    count = len(info["tasks"].get("source", []))
    order = np.random.default_rng(seed).permutation(classes).tolist()
    tasks = {"all": classes, "source": sorted(order[:count]), "target": sorted(order[count:])}
    labels, per_class = arrays["train.labels"], info["few"]["per_class"]
    images = {task: few(labels, per_class[task], tasks[task], seed) for task in ("all", "target")}
    return Drawn(tasks, images)
