"""What a study has to compute, counted from its plan alone: no data, no training.

A run is a sum of efforts: so many images of one kind of training step, so many of one forward pass.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from stagewise import catalogue
from stagewise.errors import UserError
from stagewise.files import canonical_json, read_json
from stagewise.forecast.work import Effort, Forward, Net, Pruning, Training, built
from stagewise.measure.shock import LIMIT, looks
from stagewise.recipes.base import Phase, make_phases
from stagewise.runs.train import AUGMENTATION
from stagewise.study import Plan, Run
from stagewise.study.checks.common import Config
from stagewise.study.checks.data import class_count, image_size, source_fact
from stagewise.training.teachers import BLOCK

EVALUATION_BATCH = 256
"""Of ``trainer.predict``."""

TEST_SHARE = 0.2
"""Images of a test set of its own, as a share of the others, where the source does not say."""

PROBE = canonical_json({"method": {"method": "ce"}, "weights": {"ce": 1.0}})


@dataclass
class Work:
    """What one run computes and leaves: amounts by effort, bytes on disk and of its data."""

    run: Run
    net: Net
    threads: int
    efforts: Counter[Effort] = field(default_factory=Counter)
    disk: float = 0.0
    data: float = 0.0

    @property
    def macs(self) -> float:
        """Multiply-adds of the run; pruning counts none."""
        kinds = (Training, Forward)
        return sum(n * e.size for e, n in self.efforts.items() if isinstance(e, kinds))


# -- data ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DataSize:
    """Images of a study: ``counts`` of the three splits over all classes, ``few`` and ``classes``
    by task, and the shape of one image."""

    classes: dict[str, int]
    counts: dict[str, int]
    few: dict[str, int | None]
    channels: int
    size: int

    def images(self, task: str, split: str) -> int:
        """Images of a task in ``train``, ``validation`` or ``test``; classes count as equal."""
        return round(self.counts[split] * self.classes[task] / self.classes["all"])

    def training(self, spec: dict[str, Any]) -> int:
        """Training images of a run."""
        task = spec["data"]["task"]
        few = self.few.get(task) if spec["data"]["images"] == "few" else None
        return self.images(task, "train") if few is None else few * self.classes[task]

    @property
    def bytes(self) -> int:
        """All images, a byte a pixel."""
        return sum(self.counts.values()) * self.channels * self.size**2


def data_size(config: Config, summary: Path) -> DataSize:
    """From what the source states, else from the summary of the prepared data, if any.

    Raises:
        UserError: neither says how many classes or images there are.
    """
    data, classes = config["data"], class_count(config)
    images, size = source_fact(config, "IMAGES"), image_size(config)
    channels = source_fact(config, "CHANNELS") or 3
    if classes and images and size:
        counts = _splits(config, _all_images(data["classes"], classes, images))
    elif summary.exists() and size:
        known = read_json(summary)
        classes, channels = len(known["classes"]), len(known["mean"])
        counts = {split: known["counts"][f"{split}.labels"] for split in _SPLITS}
    else:
        raise UserError(
            f"data.source: '{data['source']}' does not say how many images it has before they are"
            " here; run `snakemake data` first"
        )
    source = len(data["source_classes"])
    few = {"all": data["student_images_per_class"], "target": data["target_images_per_class"]}
    tasks = {"all": classes, "source": source, "target": classes - source}
    return DataSize(tasks, counts, few, channels, size)


_SPLITS = ("train", "validation", "test")


def _all_images(wanted: int | list[int] | None, classes: int, images: int | list[int]) -> int:
    """Images of the classes in use, without a test set of its own."""
    if isinstance(images, int):
        return classes * images
    numbers = wanted if isinstance(wanted, list) else range(classes)
    return sum(images[number] for number in numbers)


def _splits(config: Config, images: int) -> dict[str, int]:
    data = config["data"]
    validation = round(data["validation"] * images)
    if source_fact(config, "HAS_TEST"):
        test, rest = round(TEST_SHARE * images), images - validation
    else:
        test = round(data["test"] * images)
        rest = images - validation - test
    return {"train": rest, "validation": validation, "test": test}


# -- runs ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workload:
    """The work of every run, in plan order, and the bytes of the teachers' tables."""

    plan: Plan
    data: DataSize
    works: list[Work]
    tables: int

    def ranked(self) -> list[Effort]:
        """All efforts, those that probably take longest first."""
        share: Counter[Effort] = Counter()
        for work in self.works:
            for effort, amount in work.efforts.items():
                share[effort] += round(amount * effort.size)
        return [effort for effort, _ in share.most_common()]


def workload(plan: Plan, data: DataSize) -> Workload:
    """Count what a study has to do."""
    tables = _Tables(round(plan.config["table"]["max_gb"] * 2**30))
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
        size = 4 * images * views * (1 + width)
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

    def __init__(self, plan: Plan, data: DataSize, tables: _Tables, run: Run) -> None:
        self.plan, self.data, self.tables, self.run, self.spec = plan, data, tables, run, run.spec
        self.task = run.spec["data"]["task"]
        training = run.spec.get("training", {})
        self.threads = training.get("threads") or run.spec["threads"]
        self.net = self.shape(run)
        self.work = Work(run, self.net, self.threads)
        if training:
            self.train(training)
        else:
            self.work.efforts[Pruning(self.net, run.spec["criterion"], self.threads)] += 1
        self.evaluate(sum(data.images(self.task, split) for split in _SPLITS[1:]))
        self.work.disk += built(self.net).bytes + self.logits()
        self.work.data = 2 * data.bytes

    def shape(self, run: Run) -> Net:
        """The network that a run leaves."""
        spec, ratio = run.spec, run.spec.get("ratio", 1.0)
        if spec.get("init") in ("parent", "shape"):
            init = self.plan.runs.get(run.parents["init"])  # None: weights from elsewhere
            ratio = init.spec.get("ratio", 1.0) if init else 1.0
        options = {key: value for key, value in spec["network"].items() if key != "network"}
        return Net(
            spec["network"]["network"],
            tuple(sorted(options.items())),
            self.data.classes[spec["data"]["task"]],
            self.data.channels,
            self.data.size,
            spec.get("exits"),
            ratio,
        )

    def train(self, training: dict[str, Any]) -> None:
        """Steps, teacher's answers, validation, gradient-shock probe."""
        images = self.data.training(self.spec)
        batch = min(training["batch_size"], images)
        whole, rest = divmod(images, batch)
        steps = whole + (rest > 1)
        shown = images if rest != 1 else whole * batch
        phases = make_phases(self.spec["recipe"], epochs=training["epochs"], lr=training["lr"])
        epochs = sum(phase.epochs for phase in phases)
        live, pooled = self.teacher(training, shown, epochs)
        for phase in phases:
            step = replace(self.step(training, phase, shown, batch), teacher=live, pooled=pooled)
            self.work.efforts[step] += shown * phase.epochs
            if self.spec.get("probe") and phase.trains is None:
                self.probe(steps, phase)
        due = {epochs, *range(training["evaluate_every"], epochs + 1, training["evaluate_every"])}
        self.evaluate(len(due) * self.data.images(self.task, "validation"))
        self.work.disk += 2 * built(self.net).bytes  # the state, from which a killed run goes on

    def step(self, training: dict[str, Any], phase: Phase, images: int, batch: int) -> Training:
        """The step of a phase, without a teacher."""
        names = ("batch_size", "dtype", "threads", "momentum", "weight_decay", *AUGMENTATION)
        return Training(
            self.net,
            canonical_json({key: self.spec[key] for key in ("method", "weights")}),
            canonical_json({name: training[name] for name in names}),
            images,
            batch,
            trains=phase.trains,
            reestimate=phase.reestimate_batch_norm,
        )

    def teacher(self, training: dict[str, Any], images: int, epochs: int) -> tuple[Net | None, int]:
        """The teacher, where it answers at every step; else its answers are added here, and the
        width of its pooled vectors comes back if the method asks for them."""
        if "teacher" not in self.run.parents:
            return None, 0
        parent = self.run.parents["teacher"]
        net = self.shape(self.plan.runs[parent])
        needs = catalogue.method_needs(self.spec["method"]["method"])
        bounded = not any(training[name] for name in ("rotation", "auto_augment", "mixup"))
        if "teacher_taps" in needs or not bounded:
            return net, 0
        views = (2 * training["crop"] + 1) ** 2 * (2 if training["flip"] else 1)
        same = ("crop", "flip", "dtype", "threads")
        pooled = built(net).pooled if "teacher_pooled" in needs else 0
        settings = [training[name] for name in same]
        key = canonical_json([parent, self.spec["data"], settings, bool(pooled)])
        heads = built(net).heads
        width = net.classes * (heads + (heads > 1)) + pooled  # as ``teachers.widths``
        asked = self.tables.answers(key, images, views, width, epochs)
        effort = Forward(net, BLOCK, training["dtype"], self.threads)
        self.work.efforts[effort] += round(asked)
        return None, pooled

    def probe(self, steps: int, phase: Phase) -> None:
        """Each look is a forward and a backward pass of the probe's images."""
        counts = (self.data.training(self.spec), self.data.images(self.task, "validation"))
        images = sum(min(LIMIT, count) for count in counts)
        times = _looks(steps * phase.epochs, steps)
        settings = {"batch_size": images, "dtype": "float32", "threads": self.threads}
        settings |= {"momentum": 0.0, "weight_decay": 0.0, **dict.fromkeys(AUGMENTATION, 0)}
        effort = Training(self.net, PROBE, canonical_json(settings), images, images)
        self.work.efforts[effort] += times * images

    def evaluate(self, images: int) -> None:
        """Answers to so many validation and test images."""
        effort = Forward(self.net, EVALUATION_BATCH, "float32", self.threads)
        self.work.efforts[effort] += images

    def logits(self) -> int:
        """Bytes of the logits of validation and test images."""
        count = sum(self.data.images(self.task, split) for split in _SPLITS[1:])
        return count * (4 * self.net.classes * built(self.net).heads + 8)


@cache
def _looks(total: int, steps: int) -> int:
    """Rows of a gradient-shock probe in a phase of ``total`` steps, ``steps`` an epoch."""
    return 1 + sum(looks(step, total, steps)[0] for step in range(total))
