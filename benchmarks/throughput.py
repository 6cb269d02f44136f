"""Images per second of one distillation step: ours beside the published-style loop.

KD on several pairs, or with ``--methods`` every method on one, with its published script's loss.
All loops of a pair and method take turns in every round, so that a slow spell hits all of them;
numbers are medians over rounds. The published-style loop has a process of its own: what our scripts
do to theirs (they keep freed memory) would help it too.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import keep, matmul_rate, synchronise
from our_loop import BATCH, EPOCHS, IMAGES, RATE, Dtype, OurLoop, Pair, flops, networks, random_data
from published_loop import PublishedDistillation
from published_losses import CRITERIA

from stagewise import catalogue
from stagewise.data.batches import TaskData
from stagewise.process.machine import keep_freed_memory

PAIRS = {
    "wrn40-2 → wrn16-2": ("wrn40-2", "wrn16-2"),
    "vgg13 → vgg8": ("vgg13", "vgg8"),
    "resnet32x4 → resnet8x4": ("resnet32x4", "resnet8x4"),
    "resnet50 → resnet18": ("resnet50", "resnet18"),
}
PUBLISHED, RUNS = "published-style loop", 5
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")
VIEWS = 81 * 2

Case = tuple[str, str, tuple[str, ...]]
"""Pair, method, and how its teacher answers."""

Round = Callable[[], float]
"""Trains some steps and returns images per second."""


def cold_share(runs: int, epochs: int, views: int) -> float:
    """Share of all teacher answers that a table has to compute: each view is met for the first time
    once. Expected value of distinct draws among ``runs · epochs``, over that number."""
    draws = runs * epochs
    return views * (1 - (1 - 1 / views) ** draws) / draws


def ours(
    pair: Pair, data: TaskData, dtype: Dtype, teaching: str, folder: Path, method: str = "kd"
) -> Round:
    """Rounds of our loop: one epoch over ``data``."""
    device, loop = data.train.labels.device, OurLoop(method, pair, data, folder, dtype, teaching)

    def run() -> float:
        synchronise(device)
        start = time.perf_counter()
        images = loop.epoch()
        synchronise(device)
        return images / (time.perf_counter() - start)

    return run


def published(
    method: str, pair: Pair, steps: int, workers: int, threads: int, device: torch.device
) -> Round:
    """Rounds of the published-style loop, as many steps each."""
    torch.set_num_threads(threads)
    data = random_data(BATCH * steps, device)
    student, teacher, setup = networks(method, pair, data)
    pixels = data.train.images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    shown = np.resize(np.arange(len(pixels)), IMAGES)  # its epochs start workers anew
    loop = PublishedDistillation(
        CRITERIA[method](setup),
        teacher,
        student,
        pixels[shown],
        setup.labels.cpu().numpy(),
        BATCH,
        workers,
        device,
    )
    loop.optimiser.param_groups[0]["lr"] = RATE

    def run() -> float:
        synchronise(device)
        start = time.perf_counter()
        loop.train(steps)
        synchronise(device)
        return steps * BATCH / (time.perf_counter() - start)

    return run


def serve(connection: Connection, *arguments: Any) -> None:
    """A process that does a round of the published-style loop whenever it is asked to."""
    run = published(*arguments)
    with connection:
        while connection.recv():
            connection.send(run())


@contextmanager
def apart(*arguments: Any) -> Iterator[Round]:
    """Rounds of ``published(*arguments)``, done by a process of their own."""
    spawn = multiprocessing.get_context("spawn")
    near, far = spawn.Pipe()
    process = spawn.Process(target=serve, args=(far, *arguments))
    process.start()
    far.close()

    def run() -> float:
        near.send(True)
        return float(near.recv())

    try:
        yield run
    finally:
        with suppress(BrokenPipeError):
            near.send(False)
        process.join()


def measure(
    name: str,
    method: str,
    teachings: tuple[str, ...],
    steps: int,
    rounds: int,
    workers: int,
    device: torch.device,
) -> dict[str, Any]:
    """All loops of one pair and method, interleaved; FLOPs are those of an image."""
    pair, data = PAIRS[name], random_data(BATCH * steps, device)
    threads = torch.get_num_threads()
    with (
        tempfile.TemporaryDirectory(prefix="stagewise-bench-") as temporary,
        apart(method, pair, steps, workers, threads, device) as opponent,
    ):
        folder = Path(temporary)
        loops: dict[str, Round] = {PUBLISHED: opponent}
        for dtype in DTYPES:
            for teaching in teachings:
                key = f"{dtype}, {teaching}"
                loops[key] = ours(pair, data, dtype, teaching, folder, method)
        speeds: dict[str, list[float]] = {key: [] for key in loops}
        for number in range(rounds + 1):
            for key, run in loops.items():
                speed = run()
                if number:  # the first round warms up
                    speeds[key].append(speed)
        work = flops(method, pair, folder)
    medians = {key: median(values) for key, values in speeds.items()}
    share = cold_share(RUNS, EPOCHS, VIEWS)
    if "cold" in teachings:
        for dtype in DTYPES:
            cold, warm = medians[f"{dtype}, cold"], medians[f"{dtype}, warm"]
            medians[f"{dtype}, amortised"] = 1 / (share / cold + (1 - share) / warm)
    return {
        "pair": name,
        "method": method,
        "images_per_second": medians,
        "all": speeds,
        "flops": work,
    }


def teachings_of(method: str) -> tuple[str, ...]:
    """How its teacher can answer."""
    live = catalogue.method_needs(method).live_teacher
    return ("live",) if live else ("cold", "warm")


def main() -> None:
    """Measure, and write a JSON file for ``table.py``."""
    known = [name for name in CRITERIA if name in catalogue.methods()]
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", nargs="*", default=list(PAIRS)[:3], choices=list(PAIRS))
    options.add_argument(
        "--methods", nargs="*", metavar="METHOD", help="of these methods, or of all, the first pair"
    )
    options.add_argument("--steps", type=int, default=6, help="steps in a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--workers", type=int, default=2, help="loader workers, published style")
    options.add_argument("--device", default="cpu")
    options.add_argument("--out", type=Path, help="default: in benchmarks/results")
    arguments = options.parse_args()
    if unknown := [name for name in arguments.methods or () if name not in known]:
        options.error(f"--methods: {unknown[0]}: {catalogue.nearest(unknown[0], known)}")
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    device = torch.device(arguments.device)
    rates = {dtype: matmul_rate(getattr(torch, dtype), device) for dtype in DTYPES}
    if arguments.methods is None:
        kind, every = "throughput", ("live", "cold", "warm")
        cases: list[Case] = [(name, "kd", every) for name in arguments.pairs]
    else:
        kind, first = "methods", arguments.pairs[0]
        cases = [(first, name, teachings_of(name)) for name in arguments.methods or known]
    out = arguments.out or Path(f"benchmarks/results/{kind}.json")
    found = []
    for case in cases:
        found.append(measure(*case, arguments.steps, arguments.rounds, arguments.workers, device))
        speeds, title = found[-1]["images_per_second"], " ".join(case[:2])
        for key, speed in speeds.items():
            ratio = speed / speeds[PUBLISHED]
            print(f"{title:28} {key:22} {speed:9.1f} images/s {ratio:6.2f}x", flush=True)
        keep({"matmul_flops": rates, "pairs": found}, out, device)


if __name__ == "__main__":
    main()
