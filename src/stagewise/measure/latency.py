"""How long networks take to answer, measured so that the machine's moods cancel out."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import nn

from stagewise.models.exits import MultiExit
from stagewise.models.features import Network
from stagewise.models.store import load_network


def measure(
    weights: Mapping[str, Path], batches: Sequence[int], repeats: int, threads: int
) -> list[dict[str, str | int | float]]:
    """A row for each arm, exit and batch size: the median of ``repeats`` forward passes in
    milliseconds.

    ``weights`` maps an arm to a weight file. All networks take turns in every round, so that a slow
    spell hits all of them, and the first round is for warming up. Networks with exits run whole,
    which is their row "ensemble", and up to each early exit, past the exits before it.
    """
    torch.set_num_threads(threads)
    loaded = {arm: load_network(path) for arm, path in weights.items()}
    rows: list[dict[str, str | int | float]] = []
    for batch in batches:
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(repeats + 1):
            for arm, (network, architecture) in loaded.items():
                images = architecture.example(batch).contiguous(memory_format=torch.channels_last)
                for output, depth in _depths(network).items():
                    network.run_to(depth)
                    passed = _milliseconds(network.eval(), images)
                    times.setdefault((arm, output), []).append(passed)
        rows += [
            {
                "arm": arm,
                "exit": output,
                "batch": batch,
                "milliseconds": round(median(values[1:]), 4),
                "repeats": repeats,
                "threads": threads,
            }
            for (arm, output), values in times.items()
        ]
    return rows


def _depths(network: Network) -> dict[str, int | None]:
    """Output → how many stages run for it; None is everything."""
    if not isinstance(network, MultiExit):
        return {"final": None}
    early = {str(exit): place for exit, place in enumerate(network.places[:-1], start=1)}
    return {**early, "ensemble": None}


@torch.inference_mode()
def _milliseconds(network: nn.Module, images: torch.Tensor) -> float:
    start = time.perf_counter()
    network(images)
    return 1000 * (time.perf_counter() - start)
