"""Is the forecast true? Beside a finished study: what its runs took, rule by rule, and in all.

``--root`` holds the study's ``runs/``, done by this machine: ``timing.json`` says how long each run
took from its first input to its last output.
"""

import argparse
import json
import os
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from machine import keep

from stagewise.forecast.calibration import calibrate
from stagewise.forecast.estimate import JOB_SECONDS, forecast, jobs_at_once, rule_of
from stagewise.forecast.workload import workload
from stagewise.process.machine import default_device
from stagewise.study.config import load_config
from stagewise.study.images import data_size
from stagewise.study.plan import make_plan


def measure(config: Path, root: Path, budget: float) -> dict[str, Any]:
    """Mean seconds of a run by rule, forecast and real, without the start of its process."""
    plan = make_plan(load_config(config))
    device = torch.device(default_device())
    load = workload(plan, data_size(plan.config, root / "data" / "absent"))
    jobs = jobs_at_once(load, len(os.sched_getaffinity(0)), device.type == "cuda")
    speed = calibrate(load.ranked(), device, jobs, budget)
    found = forecast(load, speed, jobs)
    real: dict[str, list[float]] = defaultdict(list)
    for run in plan.runs.values():
        timing = json.loads((root / run.path / "timing.json").read_text(encoding="utf-8"))
        real[rule_of(run)].append(timing["total_seconds"])
    rules = [
        {
            "rule": row.rule,
            "runs": row.runs,
            "forecast": row.seconds / row.runs - speed.start_up - JOB_SECONDS,
            "real": mean(real[row.rule]),
        }
        for row in found.rows
        if row.runs
    ]
    return {"study": plan.config.study, "seconds": found.seconds, "jobs": jobs, "rules": rules}


def main() -> None:
    """Measure, print, and write a JSON file for ``table.py``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--config", type=Path, default=Path("config.yaml"))
    options.add_argument("--root", type=Path, default=Path("."))
    options.add_argument("--budget", type=float, default=60.0, help="seconds of trials")
    options.add_argument("--out", type=Path, default=Path("benchmarks/results/forecast.json"))
    arguments = options.parse_args()
    found = measure(arguments.config, arguments.root, arguments.budget)
    for row in found["rules"]:
        ratio = row["forecast"] / row["real"]
        print(f"{row['rule']:26} {row['forecast']:8.2f} s {row['real']:8.2f} s {ratio:6.2f}")
    print(f"whole study: {found['seconds'] / 60:.1f} minutes forecast")
    keep(found, arguments.out)


if __name__ == "__main__":
    main()
