"""What a study has to compute, counted from its plan alone: no data, no training.

A run is a sum of efforts: so many images of one kind of training step, so many of one forward pass.
"""

import importlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stagewise import catalogue
from stagewise.data.batches import bounded, steps_of, views_of
from stagewise.files import canonical_json
from stagewise.forecast.work import Answers, Kind, Net, Prunings, Steps, built
from stagewise.recipes.base import Phase, make_phases
from stagewise.study.images import SPLITS, DataSize
from stagewise.study.planned import Plan, PlannedRun
from stagewise.study.spec import PruneSpec, Training, TrainSpec
from stagewise.training.table import table_bytes
from stagewise.training.teachers import BLOCK, answers_live
from stagewise.training.trainer import EVALUATION_BATCH

LOOK = canonical_json({"method": {"method": "ce"}, "weights": {}})
"""What an observer's pass takes, about: a step of plain cross-entropy."""


@dataclass
class Work:
    """What one run computes and leaves: amounts by kind of work, bytes on disk and of its data."""

    run: PlannedRun
    net: Net
    threads: int
    amounts: Counter[Kind] = field(default_factory=Counter)
    disk: float = 0.0
    data: float = 0.0

    @property
    def macs(self) -> float:
        """Multiply-adds of the run; pruning counts none."""
        counted = (Steps, Answers)
        return sum(n * kind.size for kind, n in self.amounts.items() if isinstance(kind, counted))


@dataclass(frozen=True)
class Workload:
    """The work of every run, in plan order, and the bytes of the teachers' tables."""

    plan: Plan
    data: DataSize
    works: list[Work]
    tables: int

    def ranked(self) -> list[Kind]:
        """All kinds of work, those that probably take longest first."""
        share: Counter[Kind] = Counter()
        for work in self.works:
            for kind, amount in work.amounts.items():
                share[kind] += round(amount * kind.size)
        return [kind for kind, _ in share.most_common()]


def workload(plan: Plan, data: DataSize) -> Workload:
    """Count what a study has to do."""
    tables = _Tables(round(plan.config.table.max_gb * 2**30))
    works = [_Counter(plan, data, tables, run).work for run in plan.runs.values()]
    return Workload(plan, data, works, min(tables.limit, sum(tables.bytes.values())))


class _Tables:
    """Which teachers' answers are kept, and how many images were shown of each."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.shown: Counter[str] = Counter()
        self.bytes: dict[str, int] = {}

    def answers(self, key: str, images: int, views: int, width: int, epochs: int) -> float:
        """Images that the teacher still has to answer in so many epochs: what is expected, as
        views are drawn at random."""
        size = table_bytes(images * views, width)
        if size > self.limit:
            return images * epochs
        self.bytes[key] = size
        before = self.shown[key]
        self.shown[key] += epochs

        def met(draws: int) -> float:
            return images * views * (1 - (1 - 1 / views) ** draws)

        return met(before + epochs) - met(before)


class _Counter:
    """Counts one run."""

    def __init__(self, plan: Plan, data: DataSize, tables: _Tables, run: PlannedRun) -> None:
        self.plan, self.data, self.tables, self.run = plan, data, tables, run
        self.net = self.shape(run)
        spec = run.spec
        if isinstance(spec, TrainSpec):
            self.work = Work(run, self.net, spec.training.threads)
            self.train(spec)
        else:
            self.work = Work(run, self.net, spec.threads)
            looks = catalogue.criterion_fact(spec.criterion, "GRADIENTS")
            images = self.data.training(spec.data) if looks else 0
            self.work.amounts[Prunings(self.net, spec.criterion, spec.threads, images)] += 1
        self.evaluate(sum(data.images(spec.data.task, split) for split in SPLITS[1:]))
        self.work.disk += built(self.net).bytes + self.logits()
        self.work.data = 2 * data.bytes

    def shape(self, run: PlannedRun) -> Net:
        """The network that a run leaves."""
        spec = run.spec
        ratio = spec.ratio if isinstance(spec, PruneSpec) else 1.0
        if isinstance(spec, TrainSpec) and spec.init in ("parent", "shape"):
            init = self.plan.runs.get(run.parents["init"])  # None: weights from elsewhere
            ratio = init.spec.ratio if init and isinstance(init.spec, PruneSpec) else 1.0
        options = dict(spec.settings()["network"])
        return Net(
            options.pop("network"),
            tuple(sorted(options.items())),
            self.data.classes[spec.data.task],
            self.data.channels,
            self.data.size,
            (spec.exits or None) if isinstance(spec, TrainSpec) else None,
            ratio,
            spec.exit_places if isinstance(spec, TrainSpec) else (),
        )

    def train(self, spec: TrainSpec) -> None:
        """Steps, teacher's answers, validation, what observers do."""
        training, images = spec.training, self.data.training(spec.data)
        batch = min(training.batch_size, images)
        steps = steps_of(images, batch)
        shown = min(images, steps * batch)
        paths = built(self.net).paths
        phases = make_phases(spec.recipe, epochs=training.epochs, lr=training.lr, paths=paths)
        epochs = sum(phase.epochs for phase in phases)
        kind = self.step(spec, shown, batch)
        if kind.teacher and not kind.live:
            self.table(spec, kind.teacher, shown, epochs)
        for phase in phases:
            for turn in phase.turns:
                trains = None if turn.trains is None else tuple(turn.trains)
                here = replace(kind, phase=type(turn), trains=trains, exits=turn.exits)
                self.work.amounts[here] += shown * phase.epochs
        for observer in spec.observers:
            self.observe(observer, spec, phases, steps)
        due = {epochs, *range(training.evaluate_every, epochs + 1, training.evaluate_every)}
        self.evaluate(len(due) * self.data.images(spec.data.task, "validation"))
        self.work.disk += 2 * built(self.net).bytes  # the state, from which a killed run goes on

    def step(self, spec: TrainSpec, images: int, batch: int) -> Steps:
        """The step of a run in which everything moves."""
        needs = catalogue.method_needs(spec.method["method"])
        teacher = self.run.parents.get("teacher")
        return Steps(
            self.net,
            canonical_json({"method": spec.method, "weights": spec.weights}),
            step_settings(spec.training),
            images,
            batch,
            views=needs.views,
            teacher=self.shape(self.plan.runs[teacher]) if teacher else None,
            live=answers_live(needs, bounded(spec.training)),
        )

    def table(self, spec: TrainSpec, teacher: Net, images: int, epochs: int) -> None:
        """The answers that a teacher's table does not yet hold."""
        training = spec.training
        pooled = catalogue.method_needs(spec.method["method"]).teacher_pooled
        settings = [training.crop, training.flip, training.dtype, training.threads]
        parent = self.run.parents["teacher"]
        key = canonical_json([parent, spec.data.written(), settings, pooled])
        width = built(teacher).answer + (built(teacher).pooled if pooled else 0)
        asked = self.tables.answers(key, images, views_of(training), width, epochs)
        kind = Answers(teacher, BLOCK, training.dtype, training.threads)
        self.work.amounts[kind] += round(asked)

    def observe(self, name: str, spec: TrainSpec, phases: Sequence[Phase], per_epoch: int) -> None:
        """What an observer does: forward and backward passes of its images."""
        module = importlib.import_module(catalogue.module_name(catalogue.observers()[name]))
        passes = module.passes_in(phases, per_epoch, built(self.net).backbone)
        held_out = self.data.images(spec.data.task, "validation")
        images = module.images_of(self.data.training(spec.data), held_out)
        settings = replace(Training(), batch_size=images, threads=spec.training.threads)
        kind = Steps(self.net, LOOK, step_settings(settings), images, images)
        self.work.amounts[kind] += images * passes

    def evaluate(self, images: int) -> None:
        """Answers to so many validation and test images."""
        kind = Answers(self.net, EVALUATION_BATCH, "float32", self.work.threads)
        self.work.amounts[kind] += images

    def logits(self) -> int:
        """Bytes of the logits of validation and test images."""
        count = sum(self.data.images(self.run.spec.data.task, split) for split in SPLITS[1:])
        return count * (4 * self.net.classes * built(self.net).heads + 8)


def step_settings(settings: Training) -> Training:
    """Settings with what a step's time does not depend on made the same."""
    plain = Training()
    return replace(
        settings,
        epochs=plain.epochs,
        lr=plain.lr,
        schedule=plain.schedule,
        milestones=plain.milestones,
        evaluate_every=plain.evaluate_every,
    )
