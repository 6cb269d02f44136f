"""What a study will take on this machine: its work (``workload``) times the machine's speed
(``calibration``).

By rule of the workflow: runs, multiply-adds, time, memory and disk space.
"""

from collections.abc import Collection
from dataclasses import dataclass

from rich.table import Table

from stagewise.forecast.calibration import Calibration
from stagewise.forecast.work import Answers, Kind
from stagewise.forecast.workload import Work, Workload
from stagewise.study.gradcam import compared
from stagewise.study.planned import PlannedRun
from stagewise.study.spec import TrainSpec
from stagewise.training.trainer import EVALUATION_BATCH

RULES = {
    "pretraining": "pretrain",
    "teachers": "train_teacher",
    "students": "train_student",
    "distillation": "distill",
    "two_stage": "distill_two_stage",
    "multi_exit": "train_multi_exit",
    "pruning": "prune",
    "recovery": "recover",
}
"""Step → the Snakemake rule that does its runs; two steps have more rules."""

JOB_SECONDS = 0.5
"""Of a job: Snakemake's own time, and the end of its process (default study, two cores)."""

RESULTS_SECONDS = 12.0
"""From the last run to the report, but for latency and Grad-CAM (default study)."""

GRADCAM_ANSWERS = 2.0
"""What an image's maps take, and their comparison, in answers of the network (digits)."""

RESULTS_BYTES = 3e6
"""Tables, figures, report (default study)."""


def rule_of(run: PlannedRun) -> str:
    """The Snakemake rule that does a run."""
    if run.step == "teachers" and isinstance(run.spec, TrainSpec) and run.spec.init == "parent":
        return "train_teacher_part"
    if run.step == "teachers" and ".assistant-" in run.name:
        return "train_assistant"
    probed = isinstance(run.spec, TrainSpec) and bool(run.spec.observers)
    if run.step == "students" and ".pretrained" in run.name:
        return "train_pretrained_student" if probed else "train_pretrained_student_unprobed"
    if run.step == "two_stage" and not probed:
        return "distill_two_stage_unprobed"
    if run.step == "recovery" and probed:
        return "recover_probed"
    return RULES.get(run.step, run.step)


@dataclass(frozen=True)
class Row:
    """A rule: its number of runs, their MACs, the seconds of all its jobs added up, how many of
    these rest on a measurement of the very same work, the memory of its largest job and the disk
    space of all, in bytes."""

    rule: str
    runs: int
    macs: float
    seconds: float
    measured: float
    memory: float
    disk: float


@dataclass(frozen=True)
class Forecast:
    """``rows`` by rule; ``seconds`` from start to end with ``jobs`` at once; the memory that they
    take together and all disk space, in bytes."""

    rows: list[Row]
    jobs: int
    seconds: float
    memory: float
    disk: float


def jobs_at_once(load: Workload, cores: int, gpu: bool) -> int:
    """As many jobs as the cores hold; one on a GPU."""
    threads = max(work.threads for work in load.works)
    return 1 if gpu else max(1, cores // threads)


def forecast(load: Workload, known: Calibration, jobs: int) -> Forecast:
    """Add up, for ``jobs`` at once."""
    speeds = {kind: known.of(kind) for kind in load.ranked()}
    every = Calibration(known.start_up, known.idle, speeds)
    seconds = {work.run.path: _seconds(work, every, speeds) for work in load.works}
    memory = {work.run.path: _memory(work, every) for work in load.works}
    by_rule: dict[str, list[Work]] = {}
    for work in load.works:
        by_rule.setdefault(rule_of(work.run), []).append(work)
    rows = [
        Row(
            rule,
            len(works),
            sum(work.macs for work in works),
            sum(seconds[work.run.path] for work in works),
            sum(_seconds(work, every, known.speeds) for work in works),
            max(memory[work.run.path] for work in works),
            sum(work.disk for work in works),
        )
        for rule, works in by_rule.items()
    ]
    results = RESULTS_SECONDS + _latency_seconds(load, every) + _gradcam_seconds(load, every)
    disk = 2 * load.data.bytes + load.tables + RESULTS_BYTES
    rows.append(Row("data, results", 0, 0.0, results, results, 0.0, disk))
    running = max(sum(seconds.values()) / jobs, _longest_chain(load, seconds))
    together = sum(sorted(memory.values(), reverse=True)[:jobs])
    return Forecast(rows, jobs, running + results, together, sum(row.disk for row in rows))


def _seconds(work: Work, speed: Calibration, counted: Collection[Kind]) -> float:
    """Of a run's job, with ``counted`` of its kinds."""
    return (
        JOB_SECONDS
        + speed.start_up
        + sum(
            amount * speed.speeds[kind].seconds
            for kind, amount in work.amounts.items()
            if kind in counted
        )
    )


def _memory(work: Work, speed: Calibration) -> float:
    """Bytes of a run's job at its peak."""
    return speed.idle + work.data + max(speed.speeds[kind].bytes for kind in work.amounts)


def _latency_seconds(load: Workload, speed: Calibration) -> float:
    """Of the latency of each shape, measured alone."""
    settings = load.plan.config.evaluation
    images = sum(settings.latency_batches) * (settings.latency_repeats + 1)
    arms = {work.run.arm: work for work in load.works}
    kinds = {Answers(w.net, EVALUATION_BATCH, "float32", w.threads) for w in arms.values()}
    return images * sum(speed.speeds[kind].seconds for kind in kinds)


def _gradcam_seconds(load: Workload, speed: Calibration) -> float:
    """Of the maps of students and their teachers, and of comparing them."""
    students, works = compared(load.plan), {work.run.path: work for work in load.works}
    networks = [works[path] for path in (*students, *dict.fromkeys(students.values()))]
    images = min(load.plan.config.gradcam.images, load.data.images("all", "test"))
    kinds = [Answers(work.net, EVALUATION_BATCH, "float32", work.threads) for work in networks]
    return GRADCAM_ANSWERS * images * sum(speed.speeds[kind].seconds for kind in kinds)


def _longest_chain(load: Workload, seconds: dict[str, float]) -> float:
    """Seconds of the slowest line of runs that wait for each other."""
    ends: dict[str, float] = {}
    for path, run in load.plan.runs.items():
        begins = max((ends.get(parent, 0.0) for parent in run.parents.values()), default=0.0)
        ends[path] = begins + seconds[path]
    return max(ends.values())


# -- for readers ---------------------------------------------------------------------------------


def table(found: Forecast) -> Table:
    """A line for each rule."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("Rule", no_wrap=True)
    for title in ("Runs", "MACs", "One job", "All jobs", "Measured", "Memory", "Disk"):
        shown.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        shown.add_row(
            row.rule,
            str(row.runs or "–"),
            scaled(row.macs, "") if row.macs else "–",
            span(row.seconds / max(1, row.runs)),
            span(row.seconds),
            f"{100 * row.measured / row.seconds:.0f} %",
            scaled(row.memory, "B") if row.memory else "–",
            scaled(row.disk, "B"),
        )
    return shown


def sentence(found: Forecast, memory: str = "memory") -> str:
    """The whole study in one line."""
    jobs = "one job at a time" if found.jobs == 1 else f"{found.jobs} jobs at once"
    return (
        f"About {span(found.seconds)} on this machine with {jobs};"
        f" {scaled(found.disk, 'B')} of disk, {scaled(found.memory, 'B')} of {memory}."
    )


def span(seconds: float) -> str:
    """A time in the unit that a reader would choose."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{0 if seconds >= 10 * length else 1}f} {unit}"
    return f"{seconds:.{0 if seconds >= 10 else 1}f} seconds"


def scaled(value: float, unit: str) -> str:
    """A number with a prefix from M (million) to E."""
    for prefix, factor in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9)):
        if value >= 0.95 * factor:
            return f"{value / factor:.1f} {prefix}{unit}"
    return f"{value / 1e6:.0f} M{unit}"
