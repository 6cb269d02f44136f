"""Runs of a study without Snakemake: for a machine that has Python and torch and nothing else.

Several runs share one process, each in a thread and, on a GPU, on a stream of its own: that is how
small networks fill a large GPU. A run's folder is the one that Snakemake would make; a run whose
record already holds the same settings and code is not done again.
"""

import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import torch

from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.runs.prune import prune_run
from stagewise.runs.start import Inputs
from stagewise.runs.train import train_run
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


def unfinished(plan: Plan, machine: Machine) -> list[PlannedRun]:
    """The runs that have no record with the plan's settings and the present code, and all that
    descend from them; parents first."""
    left: dict[str, PlannedRun] = {}
    for path, run in plan.runs.items():
        parents = {*run.parents.values()} & left.keys()
        if parents or not _done(run, machine):
            left[path] = run
    return list(left.values())


def execute(runs: list[PlannedRun], data: Path, machine: Machine) -> None:
    """Do ``runs`` (parents first), as many at once as the machine takes.

    Raises:
        OutOfTime: the deadline passed; everything is saved, and the same call goes on.
        UserError: a run failed, when the others that had started are done.
    """
    waiting = {run.path: run for run in runs}
    running: dict[Future[None], str] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(machine.jobs) as pool:
        while waiting or running:
            late = machine.deadline is not None and time.monotonic() > machine.deadline
            if not failure and not late:
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
                del running[future]
                failure = failure or future.exception()
    if failure:
        raise failure
    if waiting:
        raise OutOfTime


def _script(run: PlannedRun) -> str:
    return "prune.py" if isinstance(run.spec, PruneSpec) else "train.py"


def _code(run: PlannedRun, machine: Machine) -> str:
    return fingerprint(machine.scripts / _script(run), *run.spec.modules())


def _done(run: PlannedRun, machine: Machine) -> bool:
    try:
        record = read_json(Path(run.path) / "record.json")
    except UserError:
        return False
    told = record if isinstance(record, dict) else {}
    return bool(told.get("spec") == run.spec.written() and told.get("code") == _code(run, machine))


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
