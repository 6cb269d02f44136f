"""Measure how long one network of every arm takes to answer; run it alone on the machine."""

import os
from pathlib import Path

from stagewise.analysis.records.study import read_study
from stagewise.errors import UserError
from stagewise.files import write_text
from stagewise.measure.latency import measure
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script
from stagewise.runs.train import csv_text

MOST_THREADS = 4096


def main() -> None:
    """Read arguments, measure one run of each distinct arm, write latency.csv."""
    options = study_parser(__doc__)
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    options.add_argument("--out", type=Path, required=True, help="latency.csv")
    arguments = options.parse_args()
    if not 1 <= arguments.threads <= MOST_THREADS:
        raise UserError(f"--threads: {arguments.threads} is not from 1 to {MOST_THREADS:,}")
    study = read_study(arguments.plan, arguments.root)
    settings = study.config["evaluation"]
    for key in ("latency_batches", "latency_repeats"):
        if key not in settings:
            raise UserError(f"{arguments.plan}: lacks 'evaluation.{key}'; delete it and run again")
    first: dict[str, Path] = {}
    for run in study.runs.to_dict("records"):
        first.setdefault(str(run["arm"]), study.folder(str(run["path"])) / "model.safetensors")
    batches, repeats = settings["latency_batches"], settings["latency_repeats"]
    write_text(arguments.out, csv_text(measure(first, batches, repeats, arguments.threads)))
    print(f"{arguments.out}: {len(first)} networks, {arguments.threads} threads")


if __name__ == "__main__":
    run_script(main)
