"""Regimes of paper A's reconstruction: where the students of ``two_stage`` get their features."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Regime:
    """``task``: the classes that students and their teachers learn. ``pretrains``: a run on the
    source classes makes the features. ``imagenet``: torchvision's weights do, also the teachers'.
    Without either, students start from new weights."""

    task: str
    pretrains: bool = False
    imagenet: bool = False


REGIMES = {
    "split": Regime("target", pretrains=True),
    "imagenet": Regime("all", imagenet=True),
    "scratch": Regime("all"),
}
"""``split``: features of other classes of the same data. ``scratch``: the negative control, which
has no features that a new classifier could spoil."""


def weights_folder(network: str, image_size: int) -> str:
    """Folder of ``network``'s ImageNet weights, relative to the project; as a run's folder it holds
    a ``model.safetensors``."""
    return f"data/weights/{network}-{image_size}px"


def given_folder(study: str, pair: str) -> str:
    """Folder of a pair's teacher with weights of the user's, as they were turned into ours."""
    return f"data/{study}/teachers/{pair}"
