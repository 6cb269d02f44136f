"""Images per second of one distillation step: ours beside the published-style loop.

KD, batch 64, 32x32 images, 100 classes, random pixels: no loop's speed depends on what the images
show. All loops of a pair take turns in every round, so that a slow spell hits all of them; numbers
are medians over rounds. The published-style loop has a process of its own: what our scripts do to
theirs (they keep freed memory) would help it too.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from machine import keep, matmul_rate, synchronise
from published_loop import PublishedDistillation

from stagewise.catalogue import method_needs
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.methods.base import make_method
from stagewise.models.cost import costs
from stagewise.models.features import Batch, Network
from stagewise.models.store import Architecture, build
from stagewise.process.machine import keep_freed_memory
from stagewise.runs.start import make_setup
from stagewise.study.spec import Training
from stagewise.training.precision import precision
from stagewise.training.sgd import SGD
from stagewise.training.step import Pass, make_step
from stagewise.training.table import TableFolder
from stagewise.training.teachers import LiveTeacher, TableTeacher, Teacher, widths
from stagewise.training.trainer import own_stream

PAIRS = {
    "wrn40-2 → wrn16-2": ("wrn40-2", "wrn16-2"),
    "vgg13 → vgg8": ("vgg13", "vgg8"),
    "resnet32x4 → resnet8x4": ("resnet32x4", "resnet8x4"),
    "resnet50 → resnet18": ("resnet50", "resnet18"),
}
CLASSES, SIZE, BATCH = 100, 32, 64
PUBLISHED, RUNS, EPOCHS = "published-style loop", 5, 240
VIEWS = 81 * 2

Round = Callable[[], float]
"""Trains some steps and returns images per second."""


def cold_share(runs: int, epochs: int, views: int) -> float:
    """Share of all teacher answers that a table has to compute: each view is met for the first time
    once. Expected value of distinct draws among ``runs · epochs``, over that number."""
    draws = runs * epochs
    return views * (1 - (1 - 1 / views) ** draws) / draws


def architecture(name: str) -> Architecture:
    """A network as the papers use it."""
    return Architecture(name, {}, CLASSES, 3, SIZE)


def network(name: str, device: torch.device) -> Network:
    """New weights, on the device."""
    return build(architecture(name), seed=0).to(device)


def macs(name: str) -> int:
    """Multiply-adds of one image's forward pass."""
    built = build(architecture(name), seed=0)
    return int(costs(built, architecture(name))[-1]["macs"])


def random_data(
    images: int, device: torch.device, size: int = SIZE, classes: int = CLASSES
) -> TaskData:
    """Random pixels, resident on the device."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, size, size), generator=generator, dtype=torch.uint8)
    split = Split(pixels.to(device), (torch.arange(images) % classes).to(device))
    half = torch.full((1, 3, 1, 1), 0.5, device=device)
    names = [str(number) for number in range(classes)]
    return TaskData(split, split, split, names, half, half / 2)


def ours(pair: tuple[str, str], data: TaskData, dtype: str, teaching: str, folder: Path) -> Round:
    """Rounds of our loop: one epoch over ``data``, with what the trainer does at each step.

    ``teaching``: ``live`` (the table off), ``cold`` (an empty table at every round) or ``warm`` (a
    table that has every view of the round).
    """
    device = data.train.labels.device
    settings = Training(batch_size=BATCH, crop=4, flip=True)
    batches = TrainingBatches(data, seed=0, settings=settings)
    teacher = network(pair[0], device).eval().requires_grad_(False)
    student = network(pair[1], device)
    needs = method_needs("kd")
    method = make_method({"method": "kd"}, make_setup(needs, student, teacher, data, seed=0))
    forward_precision = precision(dtype, device)
    rows = len(data.train.labels) * batches.views
    table = TableFolder(folder, 2**40).open(f"{pair[0]}-{dtype}-{teaching}", rows, widths(teacher))
    answering: Teacher = TableTeacher(teacher, batches, forward_precision, table)
    if teaching == "live":
        answering = LiveTeacher(teacher, forward_precision)

    student.train()

    def forward(batch: Batch) -> Pass:
        with forward_precision:
            features = student(batch.images)
        features = features.float()
        answers = answering(batch)
        return Pass(features, answers, batch, method(features, answers, batch))

    step = make_step(
        forward,
        method,
        {"ce": 0.1, "kd": 0.9},
        batches,
        SGD({1.0: student.parameters()}, momentum=0.9, weight_decay=5e-4),
    )
    numbers: Iterator[int] = iter(lambda: 0, 1) if teaching == "warm" else count()

    def run() -> float:
        if teaching == "cold" and table:
            table.clear()
        epoch = next(numbers)
        with own_stream(device):
            synchronise(device)
            start = time.perf_counter()
            index, view = batches.draw(epoch)
            answering.prepare(index, view)
            for part in zip(index.split(BATCH), view.split(BATCH), strict=True):
                step(*part, 0.05, epoch)
            step.means()
            synchronise(device)
            return len(index) / (time.perf_counter() - start)

    return run


def published(
    pair: tuple[str, str], steps: int, workers: int, threads: int, device: torch.device
) -> Round:
    """Rounds of the published-style loop, as many steps each."""
    torch.set_num_threads(threads)
    data = random_data(BATCH * steps, torch.device("cpu"))
    pixels = data.train.images.permute(0, 2, 3, 1).contiguous().numpy()
    labels = data.train.labels.numpy()
    repeated = np.resize(np.arange(len(labels)), 50 * len(labels))  # its epochs start workers anew
    loop = PublishedDistillation(
        network(pair[0], device),
        network(pair[1], device),
        pixels[repeated],
        labels[repeated],
        BATCH,
        workers,
        device,
    )

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
    name: str, steps: int, rounds: int, workers: int, device: torch.device
) -> dict[str, Any]:
    """All loops of one pair, interleaved."""
    pair, data = PAIRS[name], random_data(BATCH * steps, device)
    threads = torch.get_num_threads()
    with (
        tempfile.TemporaryDirectory(prefix="stagewise-bench-") as folder,
        apart(pair, steps, workers, threads, device) as opponent,
    ):
        loops: dict[str, Round] = {PUBLISHED: opponent}
        for dtype in ("float32", "bfloat16"):
            for teaching in ("live", "cold", "warm"):
                loops[f"{dtype}, {teaching}"] = ours(pair, data, dtype, teaching, Path(folder))
        speeds: dict[str, list[float]] = {key: [] for key in loops}
        for number in range(rounds + 1):
            for key, run in loops.items():
                speed = run()
                if number:  # the first round warms up
                    speeds[key].append(speed)
    medians = {key: median(values) for key, values in speeds.items()}
    share = cold_share(RUNS, EPOCHS, VIEWS)
    for dtype in ("float32", "bfloat16"):
        cold, warm = medians[f"{dtype}, cold"], medians[f"{dtype}, warm"]
        medians[f"{dtype}, amortised"] = 1 / (share / cold + (1 - share) / warm)
    teacher, student = (macs(network_name) for network_name in pair)
    return {
        "pair": name,
        "images_per_second": medians,
        "all": speeds,
        "flops": {"student": 6 * student, "teacher": 2 * teacher},
    }


def main() -> None:
    """Measure, and write a JSON file for ``table.py``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", nargs="*", default=list(PAIRS)[:3], choices=list(PAIRS))
    options.add_argument("--steps", type=int, default=6, help="steps in a round")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--workers", type=int, default=2, help="loader workers, published style")
    options.add_argument("--device", default="cpu")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/throughput.json"))
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    device = torch.device(arguments.device)
    rates = {dtype: matmul_rate(getattr(torch, dtype), device) for dtype in ("float32", "bfloat16")}
    found = []
    for name in arguments.pairs:
        found.append(measure(name, arguments.steps, arguments.rounds, arguments.workers, device))
        speeds = found[-1]["images_per_second"]
        for key, speed in speeds.items():
            print(f"{name:26} {key:22} {speed:9.1f} images/s {speed / speeds[PUBLISHED]:6.2f}x")
    keep({"matmul_flops": rates, "pairs": found}, arguments.out, device)


if __name__ == "__main__":
    main()
