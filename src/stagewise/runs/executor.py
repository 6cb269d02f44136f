"""Runs of a study without Snakemake: for a machine that has Python and torch and nothing else.

Several runs share one process, each in a thread and, on a GPU, on a stream of its own: that is how
small networks fill a large GPU. A run's folder is the one that Snakemake would make; a run whose
record already holds the same settings, code, data and parents is not done again.
"""

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import torch

from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file
from stagewise.runs.prune import prune_run
from stagewise.runs.start import Inputs
from stagewise.runs.train import train_run
from stagewise.study.agreement import Made, differences, stated
from stagewise.study.fingerprint import fingerprint
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import PruneSpec
from stagewise.training.table import TableFolder
from stagewise.training.trainer import OutOfTime


@dataclass(frozen=True)
class Machine:
    """Where runs are done: ``scripts`` is the folder of the scripts, whose code a record names;
    ``jobs`` runs at once on ``device``; no new epoch starts after ``deadline`` (monotonic)."""

    scripts: Path
    device: torch.device
    jobs: int = 1
    deadline: float | None = None


def unfinished(plan: Plan, data: Path, machine: Machine) -> dict[PlannedRun, str]:
    """The runs to do, parents first: those without a record of the plan's settings, the present
    code and data and their parents' weights, and all that descend from them.

    Each with why its record is not one of these, in words; empty where there is none.
    """
    left: dict[PlannedRun, str] = {}
    records: dict[str, Made] = {}
    prepared = sha256_file(data)
    for path, run in plan.runs.items():
        file = Path(path) / "record.json"
        if not file.exists():
            left[run] = ""
            continue
        try:
            record = stated(read_json(file))
        except UserError:
            left[run] = "its record is damaged"
            continue
        known = {role: _weights(parent, records) for role, parent in run.parents.items()}
        planned = Made(run.spec.written(), prepared, known, _code(run, machine))
        again = any(plan.runs.get(parent) in left for parent in run.parents.values())
        why = differences(record, planned) or ("a parent is done again" if again else "")
        if why:
            left[run] = why
        records[path] = record
    return left


def _weights(parent: str, records: dict[str, Made]) -> str:
    """Checksum of a parent's weights, which a run's record states; empty where nobody knows."""
    if parent in records:
        return records[parent].model
    file = Path(parent) / "model.safetensors"
    return sha256_file(file) if file.is_file() else ""


def execute(runs: list[PlannedRun], data: Path, machine: Machine) -> None:
    """Do ``runs`` (parents first), as many at once as the machine takes.

    Raises:
        OutOfTime: the deadline passed; everything is saved, and the same call goes on.
        UserError: a run failed, when all that do not start from it are done; any other error, when
            those that had started are.
    """
    waiting = {run.path: run for run in runs}
    running: dict[Future[None], str] = {}
    failure: BaseException | None = None
    failed: set[str] = set()
    with ThreadPoolExecutor(machine.jobs) as pool:
        while waiting or running:
            late = machine.deadline is not None and time.monotonic() > machine.deadline
            for run in [*waiting.values()]:  # parents first
                if failed & {*run.parents.values()}:
                    failed.add(run.path)
                    del waiting[run.path]
            if not late and (failure is None or isinstance(failure, UserError)):
                pending = {*waiting, *running.values()}
                ready = [r for r in waiting.values() if not pending & {*r.parents.values()}]
                for run in ready[: machine.jobs - len(running)]:
                    number = len(runs) - len(waiting) + 1
                    title = f"[{number}/{len(runs)}] {run.arm} seed {run.seed}"
                    running[pool.submit(_do, run, data, machine, title)] = run.path
                    del waiting[run.path]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path, error = running.pop(future), future.exception()
                if error:
                    failed.add(path)
                    failure = (
                        error if failure is None or isinstance(failure, UserError) else failure
                    )
    if failure:
        raise failure
    if waiting:
        raise OutOfTime


def _script(run: PlannedRun) -> str:
    return "prune.py" if isinstance(run.spec, PruneSpec) else "train.py"


def _code(run: PlannedRun, machine: Machine) -> str:
    return fingerprint(machine.scripts / _script(run), *run.spec.modules())


def _do(run: PlannedRun, data: Path, machine: Machine, title: str) -> None:
    parents = {role: Path(path) / "model.safetensors" for role, path in run.parents.items()}
    inputs, out, code = Inputs(data, parents), Path(run.path), _code(run, machine)
    if isinstance(run.spec, PruneSpec):
        prune_run(run.spec, inputs, out, code=code)
        return
    left = machine.deadline and max(1e-3, machine.deadline - time.monotonic())
    train_run(
        run.spec,
        inputs,
        out,
        code=code,
        work=Path("work") / run.path,
        tables=TableFolder(Path("work/tables"), 2**32),
        device=machine.device,
        title=title,
        budget=left,
    )
