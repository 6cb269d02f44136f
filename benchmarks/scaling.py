"""How cost and memory grow with runs, classes, images and image size.

Every point is a process of its own, so that its peak memory is its own; each is measured three
times in turn with the others, and the median counts.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from stagewise.process.machine import keep_freed_memory

ROOT = Path(__file__).resolve().parents[1]
SWEEPS = {
    "runs": [250, 500, 1000, 2000],
    "classes": [10, 100, 1000],
    "images": [1000, 10000, 50000],
    "image size": [16, 32, 64],
    "jobs": [1, 2],
}
REPEATS = 3


def plan_runs(count: int) -> float:
    """Seconds of ``snakemake --dry-run`` on a study of about ``count`` runs."""
    import yaml

    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["study"] = "bench"
    config["seeds"] = list(range(max(1, round(count / 41))))  # 41 runs a seed
    with tempfile.TemporaryDirectory(prefix="stagewise-bench-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--configfile", str(path), "--dry-run", "--quiet", "all", "--cores", "2"]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def prepare_images(count: int, path: Path) -> None:
    """Store ``count`` random images of 32x32 as a study's data."""
    import numpy as np

    from stagewise.data.prepare import prepare
    from stagewise.data.raw import RawData

    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    raw = RawData(pixels, np.arange(count) % 10, [str(n) for n in range(10)])
    settings = {
        "source": "random",
        "validation": 0.1,
        "test": 0.1,
        "split_seed": 0,
        "student_images_per_class": None,
        "target_images_per_class": None,
        "source_classes": [],
        "classes": None,
    }
    prepare(raw, settings, path)


def load_images(count: int) -> float:
    """Seconds to load ``count`` prepared images and to draw an epoch's first batch."""
    with tempfile.TemporaryDirectory(prefix="stagewise-bench-") as folder:
        path = Path(folder) / "prepared.safetensors"
        made = multiprocessing.get_context("spawn").Process(
            target=prepare_images, args=(count, path)
        )  # in a process of its own, whose memory does not count
        made.start()
        made.join()
        import torch

        from stagewise.data.batches import TrainingBatches, load_task
        from stagewise.study.spec import Images, Training

        start = time.perf_counter()
        data = load_task(path, Images(), torch.device("cpu"))
        batches = TrainingBatches(data, seed=0, settings=Training(batch_size=64))
        next(batches.epoch(0))
        return time.perf_counter() - start


def step_seconds(classes: int = 100, size: int = 32) -> float:
    """Seconds of one KD step (batch 64) with a table of answers, VGG8 of width 16."""
    import torch
    from our_loop import BATCH, random_data

    from stagewise.catalogue import method_needs
    from stagewise.data.batches import TrainingBatches
    from stagewise.methods.base import make_method
    from stagewise.models.features import Batch, Features
    from stagewise.models.store import Architecture, build
    from stagewise.runs.start import make_setup
    from stagewise.study.spec import Training
    from stagewise.training.sgd import SGD
    from stagewise.training.step import Pass, make_step

    torch.set_num_threads(1)
    keep_freed_memory()
    data = random_data(4 * BATCH, torch.device("cpu"), size, classes)
    batches = TrainingBatches(data, seed=0, settings=Training(batch_size=BATCH))
    student = build(Architecture("vgg8", {"width": 16}, classes, 3, size), seed=0)
    answers = torch.randn(4 * BATCH, classes)
    setup = make_setup(method_needs("kd"), student, None, data, seed=0)
    method = make_method({"method": "kd"}, setup)
    student.train()

    def passes(batch: Batch) -> Iterator[Pass]:
        features = student(batch.images)
        logits = answers[batch.index]
        teacher = Features(logits, {}, logits)
        yield Pass(features, teacher, batch, method(features, teacher, batch))

    step = make_step(
        passes,
        method,
        {"ce": 0.1, "kd": 0.9},
        batches,
        SGD({1.0: student.parameters()}, momentum=0.9, weight_decay=5e-4),
    )
    seconds = []
    for epoch in range(3):
        for index, view in zip(*(p.split(BATCH) for p in batches.draw(epoch)), strict=True):
            start = time.perf_counter()
            step(index, view, 0.05, epoch)
            seconds.append(time.perf_counter() - start)
    return median(seconds[4:])


def student_steps(threads: int, results: "multiprocessing.Queue[float]") -> None:
    """Seconds of one step of the default study's student, with so many threads."""
    import torch
    from torch.nn.functional import cross_entropy

    from stagewise.models.store import Architecture, build
    from stagewise.training.sgd import SGD

    torch.set_num_threads(threads)
    keep_freed_memory()
    student = build(Architecture("resnet8", {"width": 16}, 10, 1, 16), seed=0).train()
    optimiser = SGD({1.0: student.parameters()}, momentum=0.9, weight_decay=5e-4)
    images, labels = torch.randn(50, 1, 16, 16), torch.arange(50) % 10
    seconds = []
    for _ in range(300):
        start = time.perf_counter()
        cross_entropy(student(images).logits, labels).backward()
        optimiser.step(0.05)
        seconds.append(time.perf_counter() - start)
    results.put(median(seconds[100:]))


def shared_cores(jobs: int) -> float:
    """Seconds a step where two cores do one job of two threads, or two jobs of one."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    running = [
        context.Process(target=student_steps, args=(2 // jobs, results)) for _ in range(jobs)
    ]
    for process in running:
        process.start()
    seconds = [results.get() for _ in running]
    for process in running:
        process.join()
    return median(seconds) / jobs


POINTS = {
    "runs": plan_runs,
    "classes": lambda classes: step_seconds(classes=classes),
    "images": load_images,
    "image size": lambda size: step_seconds(size=size),
    "jobs": shared_cores,
}


def point(sweep: str, value: int) -> dict[str, float]:
    """Measure one point in this process: seconds and peak memory in MiB."""
    seconds = POINTS[sweep](value)
    who = resource.RUSAGE_CHILDREN if sweep in ("runs", "jobs") else resource.RUSAGE_SELF
    return {"seconds": seconds, "mib": resource.getrusage(who).ru_maxrss / 1024}


def main() -> None:
    """Measure all points, and write a JSON file for ``table.py``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--point", nargs=2, metavar=("SWEEP", "VALUE"), help="one point, as JSON")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/scaling.json"))
    arguments = options.parse_args()
    if arguments.point:
        print(json.dumps(point(arguments.point[0], int(arguments.point[1]))))
        return
    found: dict[str, dict[int, list[dict[str, float]]]] = {}
    for _ in range(REPEATS):
        for sweep, values in SWEEPS.items():
            for value in values:
                command = [sys.executable, __file__, "--point", sweep, str(value)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                one = json.loads(done.stdout.splitlines()[-1])
                found.setdefault(sweep, {}).setdefault(value, []).append(one)
    table = {
        sweep: [
            {"value": value, **{k: median(one[k] for one in ones) for k in ("seconds", "mib")}}
            for value, ones in points.items()
        ]
        for sweep, points in found.items()
    }
    for sweep, rows in table.items():
        for row in rows:
            print(f"{sweep:12} {row['value']:7} {row['seconds']:8.3f} s {row['mib']:8.0f} MiB")
    from machine import keep  # with torch, whose memory would count at every point

    keep({"sweeps": table}, arguments.out)


if __name__ == "__main__":
    main()
