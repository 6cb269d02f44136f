"""Where a whole study's CPU time goes: planning, start-up, training, evaluation.

Runs a study in a fresh clone of this project, with the environment that this runs in, first its
runs and then its results; processes are counted by the operating system, and within a run by the
run itself (``cpu_seconds`` of its ``timing.json``).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from machine import keep

ROOT = Path(__file__).resolve().parents[1]
RUNS = ["teachers", "students", "distillation", "multi_exit", "pruning", "recovery"]


def cpu_of(command: list[str], folder: Path) -> dict[str, float]:
    """CPU and wall seconds of a command with all of its children."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, start = used(), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {"cpu": used() - before, "wall": time.perf_counter() - start}


def measure(configs: list[str], keep: Path | None) -> dict[str, Any]:
    """Run the study in a clone, at ``keep`` where given, and add up."""
    with tempfile.TemporaryDirectory(prefix="stagewise-bench-") as name:
        folder = keep or Path(name) / "clone"
        if not folder.exists():
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        snakemake = [sys.executable, "-m", "snakemake"]
        more = ["--configfile", *configs] if configs else []
        planning = cpu_of([*snakemake, "--dry-run", "--quiet", "all", *more], folder)
        runs = cpu_of([*snakemake, *RUNS, "--quiet", "all", *more], folder)
        results = cpu_of([*snakemake, "all", "--quiet", "all", *more], folder)
        timings = [json.loads(file.read_text()) for file in folder.glob("runs/*/*/*/*/timing.json")]
    activities: Counter[str] = Counter()
    for timing in timings:
        activities.update(timing["cpu_seconds"])
    starts = [t["cpu_seconds"]["start_up"] for t in timings if "start_up" in t["cpu_seconds"]]
    total = runs["cpu"] + results["cpu"]
    return {
        "runs": len(timings),
        "wall_seconds": runs["wall"] + results["wall"],
        "cpu_seconds": total,
        "planning_cpu_seconds": planning["cpu"],
        "median_start_up_cpu_seconds": median(starts),
        "shares": {
            "training steps": activities["steps"] / total,
            "teachers' answers": activities["teacher"] / total,
            "validation": activities["validation"] / total,
            "gradient-shock probe": activities["observers"] / total,
            "start-up of runs": activities["start_up"] / total,
            "pruning, final evaluation, writing": activities["rest"] / total,
            "Snakemake, process ends": (runs["cpu"] - activities.total()) / total,
            "results (metrics to report)": results["cpu"] / total,
        },
    }


def main() -> None:
    """Measure, and write a JSON file for ``table.py``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--configfile", nargs="*", default=[], help="default: the default study")
    options.add_argument("--keep", type=Path, help="folder of the clone, which is kept")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/pipeline.json"))
    arguments = options.parse_args()
    found = measure(arguments.configfile, arguments.keep)
    for name, share in found["shares"].items():
        print(f"{name:36} {100 * share:5.1f} % of CPU time")
    print(f"median start-up {found['median_start_up_cpu_seconds']:.2f} CPU-s a run")
    keep(found, arguments.out)


if __name__ == "__main__":
    main()
