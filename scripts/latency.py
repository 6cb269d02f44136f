"""Measure how long one network of every arm takes to answer; run it alone on the machine.

What was measured before on a quiet machine is not measured again.
"""

import os
import sys
from pathlib import Path
from typing import Any

from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.study import read_study
from stagewise.errors import UserError
from stagewise.files import sha256_file, write_text
from stagewise.measure.latency import Row, is_quiet, measure
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script
from stagewise.runs.train import csv_text

MOST_THREADS = 4096
KEPT = ("weights", "machine", "exit", "batch", "milliseconds", "repeats", "threads", "others")
"""Columns that kept timings have at least."""


def main() -> None:
    """Read arguments, measure one run of each distinct arm that is new, write latency.csv."""
    options = study_parser(__doc__)
    options.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads")
    options.add_argument("--kept", type=Path, help="CSV that keeps timings from start to start")
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
    kept = _kept(arguments.kept)
    sums = {arm: _sum(path) if arguments.kept else "" for arm, path in first.items()}
    known: dict[str, list[Row]] = {}
    for arm, digest in sums.items():
        rows = [row for row in kept if _same(row, digest, batches, repeats, arguments.threads)]
        if {row["batch"] for row in rows} == {*batches} and all(map(is_quiet, rows)):
            known[arm] = [_shown(row, arm) for row in rows]
    new = {arm: path for arm, path in first.items() if arm not in known}
    measured = measure(new, batches, repeats, arguments.threads) if new else []
    rows = [row for arm in first for row in known.get(arm, [r for r in measured if r["arm"] == arm])]
    write_text(arguments.out, csv_text(rows))
    if arguments.kept:
        arguments.kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = [
            {"weights": sums[str(row["arm"])], "machine": os.uname().nodename, **row}
            for row in measured
        ]
        replaced = {sums[arm] for arm in new}
        write_text(
            arguments.kept, csv_text([r for r in kept if r["weights"] not in replaced] + fresh)
        )
    print(f"{arguments.out}: {len(first)} networks, {len(new)} of them new, {arguments.threads} threads")
    if busy := sum(not is_quiet(row) for row in measured):
        print(
            f"warning: the machine was busy: other processes slowed {busy} of {len(measured)}"
            " timings; they are measured again at the next start",
            file=sys.stderr,
        )


def _kept(file: Path | None) -> list[Row]:
    """The timings that a file keeps; none where there is none, or it is broken: they are measured
    again."""
    if file is None or not file.exists():
        return []
    try:
        rows: list[Any] = read_csv(file, KEPT).to_dict("records")
    except UserError:
        return []
    return rows


def _sum(file: Path) -> str:
    """Of a file that cannot be read, nothing: who measures it will say so."""
    try:
        return sha256_file(file)
    except OSError:
        return ""


def _same(row: Row, digest: str, batches: list[int], repeats: int, threads: int) -> bool:
    """Whether a kept timing is of these weights, measured as is asked, on this machine."""
    asked = (digest, os.uname().nodename, repeats, threads)
    found = (row["weights"], row["machine"], row["repeats"], row["threads"])
    return found == asked and row["batch"] in batches


def _shown(row: Row, arm: str) -> Row:
    return {"arm": arm, **{k: v for k, v in row.items() if k not in ("weights", "machine", "arm")}}


if __name__ == "__main__":
    run_script(main)
