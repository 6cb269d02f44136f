"""Measure how long one network of every arm takes to answer; run it alone on the machine."""

import os
from pathlib import Path

from stagewise.evaluation.latency import measure
from stagewise.files import read_json, write_text
from stagewise.scripting import parser, run_script
from stagewise.training.run import csv_text


def main() -> None:
    """Read arguments, measure one run of each distinct arm, write latency.csv."""
    options = parser(__doc__)
    options.add_argument("--plan", type=Path, required=True, help="plan.json")
    options.add_argument("--root", type=Path, default=Path("."), help="folder that holds runs/")
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    options.add_argument("--out", type=Path, required=True, help="latency.csv")
    arguments = options.parse_args()
    plan = read_json(arguments.plan)
    settings = plan["config"]["evaluation"]
    first: dict[str, Path] = {}
    for run in plan["runs"]:
        first.setdefault(run["arm"], arguments.root / run["path"] / "model.safetensors")
    batches, repeats = settings["latency_batches"], settings["latency_repeats"]
    write_text(arguments.out, csv_text(measure(first, batches, repeats, arguments.threads)))
    print(f"{arguments.out}: {len(first)} networks, {arguments.threads} threads")


if __name__ == "__main__":
    run_script(main)
