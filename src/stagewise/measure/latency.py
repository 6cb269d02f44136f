"""How long networks take to answer, measured so that the machine's moods cancel out."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles

import torch
from torch import nn

from stagewise.models.exits import MultiExit
from stagewise.models.features import Network
from stagewise.models.store import load_network
from stagewise.study.goals import BUSY

Row = dict[str, str | int | float]
STAT = Path("/proc/stat")


def measure(
    weights: Mapping[str, Path], batches: Sequence[int], repeats: int, threads: int
) -> list[Row]:
    """A row for each arm, exit and batch size: the median of ``repeats`` forward passes in
    milliseconds, between which tenths of them lie (``low``, ``high``), and the cores that other
    processes took meanwhile (``others``; nan where that is not known).

    ``weights`` maps an arm, or another name, to a weight file. All networks take turns in every
    round, so that a slow spell hits all of them, and the first round is for warming up. Networks
    with exits run whole, which is their row "ensemble", and up to each early exit, past the exits
    before it.
    """
    torch.set_num_threads(threads)
    loaded = {arm: load_network(path) for arm, path in weights.items()}
    rows: list[Row] = []
    for batch in batches:
        times: dict[tuple[str, str], list[float]] = {}
        before = work_so_far()
        for _ in range(repeats + 1):
            for arm, (network, architecture) in loaded.items():
                images = architecture.example(batch).contiguous(memory_format=torch.channels_last)
                for output, depth in _depths(network).items():
                    network.run_to(depth)
                    passed = _milliseconds(network.eval(), images)
                    times.setdefault((arm, output), []).append(passed)
        others = others_between(before, work_so_far())
        for (arm, output), values in times.items():
            low, high = _tenths(values[1:])
            rows.append(
                {
                    "arm": arm,
                    "exit": output,
                    "batch": batch,
                    "milliseconds": round(median(values[1:]), 4),
                    "low": round(low, 4),
                    "high": round(high, 4),
                    "repeats": repeats,
                    "threads": threads,
                    "others": round(others, 2),
                }
            )
    return rows


def is_quiet(row: Mapping[str, str | int | float]) -> bool:
    """Whether nobody else used the machine much while a row was measured, as far as is known."""
    return not float(row["others"]) > BUSY


def _tenths(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    cuts = quantiles(values, n=10, method="inclusive")
    return cuts[0], cuts[-1]


def work_so_far() -> tuple[float, float, float]:
    """Now, and CPU seconds so far: of the whole machine (nan where that is not told), of this
    process."""
    own = os.times()
    try:
        fields = [float(field) for field in STAT.read_text().split("\n", 1)[0].split()[1:]]
        everybody = (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        everybody = float("nan")
    return time.perf_counter(), everybody, own.user + own.system


def others_between(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """Cores that other processes took between two looks."""
    passed, everybody, own = (end - start for start, end in zip(before, after, strict=True))
    return max(0.0, (everybody - own) / passed) if passed > 0 else float("nan")


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
