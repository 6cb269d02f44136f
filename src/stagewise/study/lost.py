"""Weights that were deleted, and are needed again."""

from collections.abc import Iterable, Mapping
from pathlib import Path


def lost_weights(parents: Mapping[str, Iterable[str]], root: Path = Path()) -> list[str]:
    """Weight files to bring back before anything else, given the parents of every run.

    Snakemake decides what to do before it does anything. It cannot know that weights come back with
    the same bits, so it would repeat all that learned from them. These are the weights of finished
    runs that some runs learned from and others wait for.
    """
    waiting: set[str] = set()
    served: set[str] = set()
    for run, own in parents.items():
        (served if (root / run / "record.json").exists() else waiting).update(own)
    weights = [f"{path}/model.safetensors" for path in parents if path in waiting & served]
    return [
        path
        for path in weights
        if (root / path).with_name("record.json").exists() and not (root / path).exists()
    ]
