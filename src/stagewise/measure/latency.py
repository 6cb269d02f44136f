"""How long networks take to answer, measured so that the machine's moods cancel out."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import nn

from stagewise.models.store import load_network


def measure(
    weights: Mapping[str, Path], batches: Sequence[int], repeats: int, threads: int
) -> list[dict[str, str | int | float]]:
    """A row for each arm and batch size: the median of ``repeats`` forward passes in milliseconds.

    ``weights`` maps an arm to a weight file. All networks take turns in every round, so that a slow
    spell hits all of them, and the first round is for warming up. Multi-exit networks run whole.
    """
    torch.set_num_threads(threads)
    loaded = {arm: load_network(path) for arm, path in weights.items()}
    rows: list[dict[str, str | int | float]] = []
    for batch in batches:
        times: dict[str, list[float]] = {arm: [] for arm in loaded}
        for _ in range(repeats + 1):
            for arm, (network, architecture) in loaded.items():
                images = architecture.example(batch).contiguous(memory_format=torch.channels_last)
                times[arm].append(_milliseconds(network.eval(), images))
        rows += [
            {
                "arm": arm,
                "batch": batch,
                "milliseconds": round(median(values[1:]), 4),
                "repeats": repeats,
                "threads": threads,
            }
            for arm, values in times.items()
        ]
    return rows


@torch.inference_mode()
def _milliseconds(network: nn.Module, images: torch.Tensor) -> float:
    start = time.perf_counter()
    network(images)
    return 1000 * (time.perf_counter() - start)
