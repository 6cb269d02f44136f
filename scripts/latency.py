"""Measure how long one network of every arm takes to answer; run it alone on the machine.

Networks of the same shape are timed once, and what was measured before on a quiet machine is not
measured again.
"""

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from stagewise.analysis.records.csv_files import TEXT, read_csv
from stagewise.analysis.records.study import read_study
from stagewise.errors import UserError
from stagewise.files import canonical_json, sha256_text, write_text
from stagewise.measure.latency import Row, is_quiet, measure
from stagewise.models.store import load_architecture
from stagewise.process.arguments import study_parser
from stagewise.process.scripting import run_script
from stagewise.runs.train import csv_text

MOST_THREADS = 4096
KEPT = ("network", "machine", "exit", "batch", "milliseconds", "repeats", "threads", "others")
"""Columns that kept timings have at least."""
NAMES = ("network", "machine")
"""Columns that say of what a kept timing is."""


def main() -> None:
    """Read arguments, measure each shape that is new, write latency.csv, a row for each arm."""
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
    kept = {_key(row): row for row in _kept(arguments.kept)}
    machine = os.uname().nodename
    shapes = {arm: _shape(path) for arm, path in first.items()}
    distinct = {shapes[arm]: first[arm] for arm in reversed(first)}

    def quiet(shape: str) -> bool:
        """Whether all that is asked of a shape is kept from a quiet machine."""
        asked = (shape, machine, repeats, arguments.threads)
        rows = [row for key, row in kept.items() if key[:4] == asked and row["batch"] in batches]
        return {row["batch"] for row in rows} == {*batches} and all(map(is_quiet, rows))

    new = {shape: path for shape, path in distinct.items() if not quiet(shape)}
    measured = measure(new, batches, repeats, arguments.threads) if new else []
    for row in measured:
        numbers = {name: value for name, value in row.items() if name != "arm"}
        fresh: Row = {"network": row["arm"], "machine": machine, **numbers}
        old = kept.get(_key(fresh))
        if old is None or is_quiet(fresh) or not is_quiet(old):
            kept[_key(fresh)] = fresh
    rows = [
        {"arm": arm, **{name: value for name, value in row.items() if name not in NAMES}}
        for arm, shape in shapes.items()
        for key, row in kept.items()
        if key[:4] == (shape, machine, repeats, arguments.threads) and row["batch"] in batches
    ]
    write_text(arguments.out, csv_text(rows))
    if arguments.kept:
        write_text(arguments.kept, csv_text([*kept.values()]))
    print(
        f"{arguments.out}: {len(first)} networks of {len(distinct)} shapes, {len(new)} new,"
        f" {arguments.threads} threads"
    )
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
        rows: list[Any] = read_csv(file, KEPT, text=(*TEXT, "machine")).to_dict("records")
    except UserError:
        return []
    return rows


def _shape(file: Path) -> str:
    """What a network's time depends on, as a checksum: all that its weight file says of it but the
    parts that stand beside it."""
    shape = asdict(replace(load_architecture(file), part={}))
    return sha256_text(canonical_json(shape))[:16]


def _key(row: Row) -> tuple[object, ...]:
    """What a timing is of: the network, where and how it was measured, the output."""
    names = ("network", "machine", "repeats", "threads", "exit", "batch")
    return tuple(row[name] for name in names)


if __name__ == "__main__":
    run_script(main)
