"""What several rooms' tests share: tiny data, networks, specs and runs."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stagewise.catalogue import method_needs, network_options
from stagewise.data.batches import Split, TaskData, TrainingBatches, load_task
from stagewise.data.prepare import prepare
from stagewise.data.raw import RawData
from stagewise.methods.base import DistillationMethod, Setup, make_method
from stagewise.models.features import Batch, Features, Network
from stagewise.models.store import Architecture, build
from stagewise.process.epochs import Progress
from stagewise.recipes.base import Phase
from stagewise.runs.start import Inputs, make_part, make_setup
from stagewise.runs.train import train_run
from stagewise.study.spec import Images, Training, TrainSpec
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.teachers import Teacher
from stagewise.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
CLASSES, EACH, SIZE = 4, 12, 8
FILES = ("model.safetensors", "record.json", "history.csv", "logits.npz")
"""What two equal runs must leave byte for byte."""

torch.set_num_threads(1)


def toy_raw(classes: int = CLASSES, each: int = EACH, size: int = SIZE) -> RawData:
    """Grey images, a bright block whose place tells the class, under noise; no two are equal."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(classes), each)
    images = generator.integers(0, 120, (len(labels), 1, size, size))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        half = size // 2
        image[0, row * half : (row + 1) * half, column * half : (column + 1) * half] += 120
    return RawData(images.astype(np.uint8), labels, [f"class {n}" for n in range(classes)])


def data_settings(**changes: Any) -> dict[str, Any]:
    """A config's ``data`` block for the toy data."""
    return {
        "source": "toy",
        "validation": 0.25,
        "test": 0.25,
        "split_seed": 0,
        "classes": None,
        "student_images_per_class": 4,
        "target_images_per_class": 3,
        "source_classes": [0, 1],
        **changes,
    }


def toy_data(path: Path, **changes: Any) -> Path:
    """Prepared toy data at ``path``."""
    prepare(toy_raw(), data_settings(**changes), path)
    return path


def task_data(
    images: int = 16, classes: int = CLASSES, size: int = SIZE, seed: int = 0
) -> TaskData:
    """Random data in memory, the same images in every split."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, 1, size, size), generator=generator, dtype=torch.uint8)
    split = Split(pixels, torch.arange(images) % classes)
    scaled = pixels.float() / 255
    return TaskData(
        split,
        split,
        split,
        [str(number) for number in range(classes)],
        scaled.mean().view(1, 1, 1, 1),
        scaled.std().view(1, 1, 1, 1),
    )


def architecture(name: str = "resnet8", **changes: Any) -> Architecture:
    """A network of width 4, or less where its default is less, for the toy data."""
    width = min(4, network_options(name)["width"])
    fields = {"options": {"width": width}, "classes": CLASSES, "channels": 1, "image_size": SIZE}
    return Architecture(name, **{**fields, **changes})


def network(name: str = "resnet8", seed: int = 0, **changes: Any) -> Network:
    """The network of ``architecture``."""
    return build(architecture(name, **changes), seed)


def whole_batch(data: TaskData, count: int | None = None) -> Batch:
    """The first training images, not cropped."""
    labels = data.train.labels[:count]
    index = torch.arange(len(labels))
    images = data.normalise(data.train.images[:count])
    return Batch(images, labels, index, torch.zeros_like(index), labels)


def features(logits: Tensor, exits: Sequence[Tensor] = ()) -> Features:
    """Features with nothing but logits, which are their own vectors too."""
    return Features(logits, {}, logits, tuple(exits), tuple(exits))


def cast(features: Features, dtype: torch.dtype) -> Features:
    """As a forward pass in half precision leaves them."""
    return Features(
        features.logits.to(dtype),
        {name: tap.to(dtype) for name, tap in features.taps.items()},
        features.pooled.to(dtype),
        tuple(exit_.to(dtype) for exit_ in features.exits),
        tuple(vectors.to(dtype) for vectors in features.exit_vectors),
    )


def copied(module: torch.nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def changed(before: dict[str, Tensor], module: torch.nn.Module) -> set[str]:
    """Names of parameters and buffers that differ from ``before`` by a bit or more."""
    return {n for n, tensor in module.state_dict().items() if not torch.equal(tensor, before[n])}


# -- runs ----------------------------------------------------------------------------------------

TRAINING: dict[str, Any] = {
    "batch_size": 8,
    "crop": 1,
    "dtype": "float32",
    "epochs": 3,
    "evaluate_every": 2,
    "flip": False,
    "lr": 0.05,
    "momentum": 0.9,
    "schedule": "cosine",
    "threads": 1,
    "weight_decay": 0.0005,
}
ONE_STAGE = {"recipe": "one_stage"}
FROZEN = {"recipe": "frozen_backbone"}
TWO_STAGE = {"recipe": "two_stage", "stage1_share": 0.4, "stage1_lr": 0.1}
KD = {"method": {"method": "kd"}}
CE = {"method": {"method": "ce"}}
EXITS_CE = {"method": {"method": "exits_ce"}}
OTO = {"method": {"method": "oto"}}


def run_spec(training: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A spec as it is written: a student from scratch with CE, but for ``changes``."""
    return {
        "seed": 0,
        "data": {"task": "all", "images": "few"},
        "init": "scratch",
        "network": {"network": "resnet8", "width": 4},
        **CE,
        "recipe": ONE_STAGE,
        "training": {**TRAINING, **(training or {})},
        **changes,
    }


def train(
    spec: dict[str, Any],
    data: Path,
    out: Path,
    *,
    work: Path | None = None,
    budget: float | None = None,
    **parents: Path,
) -> Path:
    """Train one run in this process; returns its weight file."""
    train_run(
        TrainSpec.read(spec),
        Inputs(data, parents),
        out,
        code="",
        work=work or out.with_name(f"{out.name}.work"),
        device=CPU,
        title=out.name,
        budget=budget,
    )
    return out / "model.safetensors"


def toy_parents(folder: Path, data: Path) -> dict[str, Path]:
    """The networks that other runs learn from or start from."""

    def parent(name: str, task: str, images: str, seed: int, **changes: Any) -> Path:
        given = {role: changes.pop(role) for role in ("init_from",) if role in changes}
        spec = run_spec(seed=seed, data={"task": task, "images": images}, **changes)
        roles = {"init": given["init_from"]} if given else {}
        return train(spec, data, folder / name, **roles)

    teacher = parent("teacher", "all", "full", 7)
    exits = {
        **EXITS_CE,
        "recipe": {"recipe": "frozen_backbone"},
        "init": "parent",
        "exits": "sepatt",
    }
    return {
        "teacher": teacher,
        "teacher.target": parent("teacher.target", "target", "full", 7),
        "teacher.exits": parent("teacher.exits", "all", "full", 7, init_from=teacher, **exits),
        "features": parent("features", "source", "full", 8),
        "student": parent("student", "all", "few", 0),
    }


def arms(parents: dict[str, Path]) -> dict[str, tuple[dict[str, Any], dict[str, Path]]]:
    """One run of every recipe: name → spec and parents."""
    target = {"task": "target", "images": "few"}
    student, teacher = parents["student"], parents["teacher"]
    return {
        "one_stage": (run_spec(**KD), {"teacher": teacher}),
        "two_stage": (
            run_spec(**KD, recipe=TWO_STAGE, init="features", data=target, observers=["shock"]),
            {"teacher": parents["teacher.target"], "init": parents["features"]},
        ),
        "frozen_backbone": (
            run_spec(
                **EXITS_CE,
                recipe={"recipe": "frozen_backbone"},
                init="parent",
                exits="sepatt",
                seed=1,
            ),
            {"init": teacher},
        ),
        "reestimate_batch_norm": (
            run_spec(recipe={"recipe": "reestimate_batch_norm"}, init="parent"),
            {"init": student},
        ),
        "oto": (run_spec(**OTO, exits="sepatt"), {"teacher": parents["teacher.exits"]}),
        "phased": (
            run_spec(method={"method": "tskd"}, recipe={"recipe": "phased"}, exits="sepatt"),
            {"teacher": teacher},
        ),
        "frozen_exits": (
            run_spec(
                method={"method": "mskd"},
                recipe={"recipe": "phased", "freeze": True},
                exits="sepatt",
            ),
            {"teacher": teacher},
        ),
        "gauss_seidel": (
            run_spec(**OTO, recipe={"recipe": "gauss_seidel"}, exits="sepatt"),
            {"teacher": parents["teacher.exits"]},
        ),
        "mixed": (
            run_spec(method={"method": "mskd"}, recipe={"recipe": "mixed"}, exits="sepatt"),
            {"teacher": teacher},
        ),
        "recovery": (
            run_spec(**KD, recipe=TWO_STAGE, init="parent"),
            {"teacher": teacher, "init": student},
        ),
        "group_sl": (
            run_spec(recipe={"recipe": "group_sl"}, init="parent"),
            {"init": student},
        ),
    }


def remedies(parents: dict[str, Path]) -> dict[str, tuple[dict[str, Any], dict[str, Path]]]:
    """One run of every cheaper remedy for a gradient shock, and of the ways to recover that differ
    in their recipe: name → spec and parents."""
    data = {"task": "target", "images": "few"}
    started = {**KD, "init": "features", "data": data}
    given = {"teacher": parents["teacher.target"], "init": parents["features"]}
    pruned = {"teacher": parents["teacher"], "init": parents["student"]}
    rewound = {"recipe": "rewound", "of": 9}
    by_labels = {**TWO_STAGE, "stage1_labels": True}
    return {
        "zero_head": (run_spec(**started, classifier="zero"), given),
        "linear_head": (run_spec(**started, classifier="linear"), given),
        "warm_up": (run_spec({"warm_up": 0.3}, **started), given),
        "slow_backbone": (run_spec(**started, recipe={"recipe": "discriminative"}), given),
        "clipped": (run_spec({"clip": 0.1}, **started), given),
        "still_batch_norm": (run_spec(**started, recipe={"recipe": "still_batch_norm"}), given),
        "head_by_labels": (run_spec(**started, recipe=by_labels), given),
        "rewound_kd": (run_spec(**KD, init="parent", recipe=rewound), pruned),
        "two_stage_kd_bn": (
            run_spec(**KD, init="parent", recipe={**TWO_STAGE, "estimate_first": 1}),
            pruned,
        ),
        "scratch_kd": (run_spec(**KD, init="shape"), pruned),
        "probed_kd": (run_spec(**KD, init="parent", observers=["shock"]), pruned),
    }


def setup(
    student: Network, data: TaskData, teacher: Network | None = None, name: str = "ce"
) -> Setup:
    """What the method ``name`` is built from, on some data; a part of the teacher is untrained."""
    needs = method_needs(name)
    found = make_setup(needs, student, teacher, data, 0)
    if needs.teacher_part and teacher:
        part = make_part({"method": needs.teacher_part}, found, teacher)
        found = replace(found, teacher_part=part)
    return found


def make(
    name: str,
    student: Network | None = None,
    teacher: Network | None = None,
    data: TaskData | None = None,
    **options: Any,
) -> DistillationMethod:
    """The method ``name`` for two networks on some data, with its defaults but for ``options``."""
    given = setup(student or network(), data or task_data(8), teacher, name)
    return make_method({"method": name, **options}, given)


def shown(
    method: DistillationMethod, batch: Batch, student: Network, teacher: Network | None
) -> tuple[Features, Features | None, Batch]:
    """What a method's losses get of a batch: features of both networks and the batch itself."""
    seen = method.views(batch)
    with torch.no_grad():
        answer = teacher.eval()(seen.images) if teacher else None
    return student(seen.images), answer, seen


def make_trainer(
    student: Network,
    data: TaskData,
    phases: Sequence[Phase],
    *,
    method: DistillationMethod | None = None,
    weights: dict[str, float] | None = None,
    teacher: Teacher | None = None,
    **settings: Any,
) -> Trainer:
    """A trainer that keeps its checkpoints in a new temporary folder."""
    training = Training(**{**TRAINING, **settings})
    batches = TrainingBatches(data, seed=0, settings=training)
    return Trainer(
        student,
        method or make_method(CE["method"], setup(student, data)),
        weights or {"ce": 1.0},
        teacher,
        batches,
        phases,
        training,
        checkpoint=Checkpoint(Path(tempfile.mkdtemp(prefix="stagewise-test-"))),
        progress=Progress("toy", sum(phase.epochs for phase in phases)),
    )


def loaded(path: Path, task: str = "all", images: str = "full") -> TaskData:
    """A task of prepared data on the CPU."""
    return load_task(path, Images(task=task, images=images), CPU)
