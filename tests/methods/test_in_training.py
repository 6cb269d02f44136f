"""Methods in the loop: their parts move, a killed run ends with the same bits, few images are
learnt by heart, and a teacher's part is trained apart."""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import (
    FILES,
    FROZEN,
    changed,
    copied,
    make_trainer,
    network,
    run_spec,
    setup,
    task_data,
    toy_data,
    train,
    whole_batch,
)

from stagewise.catalogue import (
    method_needs,
    method_recipe,
    method_weights,
    methods,
    teacher_part,
)
from stagewise.data.batches import TaskData
from stagewise.errors import UserError
from stagewise.methods.base import DistillationMethod, make_method
from stagewise.models.features import Network
from stagewise.models.store import load_network, load_part
from stagewise.recipes.base import make_phases
from stagewise.runs.start import make_part
from stagewise.training.teachers import LiveTeacher
from stagewise.training.trainer import OutOfTime

METHODS = sorted(
    name
    for name in methods()
    if method_needs(name).teacher and not method_needs(name).exits and not teacher_part(name)
)
"""All that learn from a teacher, on one exit."""
EXITS = sorted(name for name in methods() if method_needs(name).exits)
PARTS = sorted(name for name in methods() if teacher_part(name) and name not in EXITS)
"""What is trained on a frozen teacher, beside its exits."""
SIZE = 16
"""Large enough for maps of more than a pixel behind three stages."""


LEFT = {"contrast_head": 0.95, "paraphraser": 0.75, "rotation_heads": 0.5}
"""Share of its first epoch's loss that a part has left at the end, at most. Cosines as logits, of
16 images, cannot come below 2/3 of chance."""


def frozen_teacher(width: int = 4, exits: str | None = None) -> Network:
    options = {"width": width}
    teacher = network("resnet14", seed=5, image_size=SIZE, options=options, exits=exits)
    return teacher.eval().requires_grad_(False)


def built(name: str, student: Network, teacher: Network, data: TaskData) -> DistillationMethod:
    """The method ``name``, with a part of the teacher that was never trained."""
    given = setup(student, data, teacher, name)
    if part := method_needs(name).teacher_part:
        own = make_part({"method": part}, given, teacher)
        given = type(given)(**{**vars(given), "teacher_part": own})
    options = {"negatives": 32} if name == "crd" else {}
    return make_method({"method": name, **options}, given)


@pytest.mark.parametrize("name", METHODS)
def test_all_that_can_be_learnt_moves_and_the_teacher_does_not(name: str) -> None:
    student, teacher = network(image_size=SIZE), frozen_teacher()
    data = task_data(16, size=SIZE)
    method = built(name, student, teacher, data)
    before = [copied(module) for module in (student, method, teacher)]
    part_before = copied(method.teacher_part) if method.teacher_part else {}
    make_trainer(
        student,
        data,
        make_phases(method_recipe(name), epochs=2, lr=0.05),
        method=method,
        weights=method_weights(name),
        teacher=LiveTeacher(teacher),
    ).run()
    for module, old in zip((student, method), before[:2], strict=True):
        assert changed(old, module) >= {name for name, _ in module.named_parameters()}
    assert changed(before[2], teacher) == set()
    if method.teacher_part:
        assert changed(part_before, method.teacher_part) == set()


@pytest.mark.parametrize("name", [*METHODS, *EXITS, *PARTS])
def test_thirty_two_images_are_learnt_by_heart(name: str) -> None:
    """A teacher's part learns of a network that stands still, whose batch norm knows the images;
    its own loss falls."""
    needs = method_needs(name)
    head = "sepatt" if needs.exits else None
    student = network(image_size=SIZE, seed=2, options={"width": 16}, exits=head)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = frozen_teacher(16 if needs.same_channels else 4, exits)
    data = task_data(32, size=SIZE)
    if name in PARTS:
        for layer in student.train().modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = None
        student(whole_batch(data).images)
    weights = method_weights(name)
    # labels first: what a teacher that was never trained says is not to be learnt
    by_labels = {n: {"ce": 1.0, "kd": 0.0}.get(n, 0.01 * w) for n, w in weights.items()}
    history = make_trainer(
        student,
        data,
        make_phases(method_recipe(name), epochs=60, lr=0.05),
        method=built(name, student, teacher, data),
        weights=weights if name in PARTS else by_labels,
        teacher=LiveTeacher(teacher) if needs.teacher else None,
        batch_size=16,
        crop=0,
        weight_decay=0.0,
    ).run()
    if name in PARTS:
        assert history[-1]["train_loss"] < LEFT[name] * history[0]["train_loss"]
    else:
        assert history[-1]["train_accuracy"] == 100


# -- as runs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_data(tmp_path_factory.mktemp("data") / "prepared.safetensors")


TEACHER = {"network": "resnet14", "width": 4}


@pytest.fixture(scope="module")
def teachers(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The teacher, and what is trained on it frozen, by the method that needs it."""
    folder = tmp_path_factory.mktemp("teachers")
    plain = train(run_spec(seed=7, network=TEACHER), data, folder / "teacher")
    found = dict.fromkeys([*METHODS, *EXITS], plain)
    made: dict[str, Path] = {}
    for name in found:
        if part := method_needs(name).teacher_part:
            out = folder / part
            made[part] = made.get(part) or train(part_spec(part, 7), data, out, init=plain)
            found[name] = made[part]
    return {"": plain, **found}


def part_spec(part: str, seed: int) -> dict[str, Any]:
    exits = {"exits": "sepatt"} if method_needs(part).exits else {}
    method = {"method": part}
    return run_spec(
        method=method, recipe=FROZEN, init="parent", seed=seed, network=TEACHER, **exits
    )


def spec_of(name: str) -> dict[str, Any]:
    if name in PARTS:
        return part_spec(name, 0)
    options = {"negatives": 16} if name == "crd" else {}
    exits = {"exits": "sepatt"} if name in EXITS else {}
    return run_spec(method={"method": name, **options}, recipe=method_recipe(name), **exits)


def parents_of(name: str, teachers: dict[str, Path]) -> dict[str, Path]:
    """What a method's run is given; a part, the teacher that it is trained on."""
    if name in PARTS:
        return {"init": teachers[""]}
    return {"teacher": teachers[name]} if method_needs(name).teacher else {}


@pytest.mark.parametrize("name", ["ft", "hsakd"])
def test_a_part_leaves_the_teacher_as_it_was_and_stands_in_its_file(
    teachers: dict[str, Path], name: str
) -> None:
    part = method_needs(name).teacher_part
    entry, tensors = load_part(teachers[name])
    assert entry == {"method": part}
    assert tensors
    assert teacher_part(part)
    own, plain = (load_network(teachers[key])[0] for key in (name, ""))
    assert changed(copied(plain), own) == set()
    assert load_part(teachers[""]) == ({}, {})


@pytest.mark.parametrize("name", ["ft", "hsakd"])
def test_a_teacher_without_the_part_is_refused(
    teachers: dict[str, Path], data: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UserError, match=r"teacher has no part '\w+'.*teachers/<pair>\.\w+"):
        train(spec_of(name), data, tmp_path / "run", teacher=teachers[""])


@pytest.mark.parametrize("name", [*METHODS, *EXITS, *PARTS])
def test_a_run_stopped_after_every_epoch_ends_with_the_same_bytes(
    teachers: dict[str, Path], data: Path, tmp_path: Path, name: str
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    parents = parents_of(name, teachers)
    train(spec_of(name), data, whole, **parents)
    for _ in range(spec_of(name)["training"]["epochs"]):
        with suppress(OutOfTime):
            train(spec_of(name), data, stopped, budget=1e-9, **parents)
    for file in FILES:
        assert (whole / file).read_bytes() == (stopped / file).read_bytes(), file


@pytest.mark.parametrize(("name", "stages"), [("at", (1, 2, 3)), ("sp", (3,)), ("kd", ())])
def test_the_record_says_which_maps_were_compared(
    teachers: dict[str, Path], data: Path, tmp_path: Path, name: str, stages: tuple[int, ...]
) -> None:
    train(spec_of(name), data, tmp_path / "run", teacher=teachers[name])
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["protocol"].get("pairs", []) == [[f"stage{n}"] * 2 for n in stages]


def test_warm_up_follows_the_runs_epochs(
    teachers: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    """DKD's terms weigh 1/3, 2/3 and 1 in its epochs where it warms up for three."""

    def terms(warm_up: int) -> list[float]:
        method = {"method": "dkd", "warm_up": warm_up}
        out = tmp_path / str(warm_up)
        train(run_spec({"lr": 1e-9}, method=method), data, out, teacher=teachers["dkd"])
        rows = (out / "history.csv").read_text().splitlines()
        column = rows[0].split(",").index("tckd")
        return [float(row.split(",")[column]) for row in rows[1:]]

    ratios = [warm / full for warm, full in zip(terms(3), terms(1), strict=True)]
    for ratio, expected in zip(ratios, (1 / 3, 2 / 3, 1), strict=True):
        assert math.isclose(ratio, expected, rel_tol=1e-3)
