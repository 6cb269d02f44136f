"""Reading prepared data: everything that ``prepare`` writes, checked to be whole and consistent."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stagewise.data.arrays import check_images, load_arrays
from stagewise.data.names import are_names
from stagewise.errors import UserError

SPLITS = ("train", "validation", "test")


def load_prepared(path: Path | str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and ``info`` of a study's prepared data.

    Raises:
        UserError: the file is damaged, or its arrays do not fit each other or ``info``.
    """
    arrays, info = load_arrays(path)
    problem = _info_problem(info)
    if problem:
        raise UserError(f"{path}: {problem}; delete it and run `snakemake data`")
    for split in SPLITS:
        names, classes = (f"{split}.images", f"{split}.labels"), len(info["classes"])
        # ``validation: 0`` holds no images out.
        check_images(path, arrays, *names, classes, least=int(split != "validation"))
    problem = _shape_problem(arrays, info)
    if problem:
        raise UserError(f"{path}: {problem}; delete it and run `snakemake data`")
    return arrays, info


def _info_problem(info: dict[str, Any]) -> str:
    """What is wrong with classes, tasks and statistics; empty where nothing is."""
    stated = {"classes": list, "tasks": dict, "mean": list, "std": list, "counts": dict}
    for key, kind in stated.items():
        if not isinstance(info.get(key), kind):
            return f"states no '{key}'"
    if not are_names(info["classes"]):
        return "its 'classes' are no printable names"
    known = range(len(info["classes"]))
    for task, numbers in info["tasks"].items():
        if not isinstance(numbers, list) or any(type(n) is not int for n in numbers):
            return f"task '{task}' is no list of class numbers"
        if not set(numbers) <= set(known) or len(set(numbers)) < len(numbers):
            return f"task '{task}' repeats classes, or names more than the {len(known)}"
    if not all(isinstance(value, float) for value in (*info["mean"], *info["std"])):
        return "its 'mean' and 'std' are no numbers"
    if (
        not all(map(math.isfinite, (*info["mean"], *info["std"])))
        or min(info["std"], default=1) <= 0
    ):
        return "its 'mean' and 'std' are not finite, or a deviation is not above 0"
    return ""


def _shape_problem(arrays: dict[str, NDArray[Any]], info: dict[str, Any]) -> str:
    """What does not fit among images, statistics and the few; empty where all does."""
    shapes = {arrays[f"{split}.images"].shape[1:] for split in SPLITS}
    channels, height, width = arrays["train.images"].shape[1:]
    if len(shapes) > 1 or height != width:
        return f"images must be square and all of one size, but are {sorted(shapes)}"
    if not len(info["mean"]) == len(info["std"]) == channels:
        return f"'mean' and 'std' do not have one value for each of {channels} channels"
    for task in ("all", "target"):
        name = f"few.{task}"
        chosen, images = arrays.get(name), len(arrays["train.labels"])
        if chosen is None or chosen.dtype != np.int64 or chosen.ndim != 1 or not len(chosen):
            return f"'{name}' is no list of image numbers"
        if not 0 <= chosen.min() <= chosen.max() < images:
            return f"'{name}' numbers images beyond the {images} for training"
        if not set(arrays["train.labels"][chosen].tolist()) <= set(info["tasks"].get(task, [])):
            return f"'{name}' holds images of classes that are not the task's"
    for name, array in arrays.items():
        if info["counts"].get(name) != len(array):
            return f"'{name}' has {len(array)} entries, not {info['counts'].get(name)}"
    return ""
