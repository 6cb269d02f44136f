"""Methods in the loop: their parts move, a killed run ends with the same bits, few images are
learnt by heart, and a teacher's part is trained apart."""

import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
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
"""All that learn from a teacher; those with exits are in ``tests/training``."""
SIZE = 16
"""Large enough for maps of more than a pixel behind three stages."""


def frozen_teacher(width: int = 4) -> Network:
    options = {"width": width}
    teacher = network("resnet14", seed=5, image_size=SIZE, options=options)
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


@pytest.mark.parametrize("name", METHODS)
def test_thirty_two_images_are_learnt_by_heart(name: str) -> None:
    wide = {"width": 16}
    student = network(image_size=SIZE, seed=2, options=wide)
    teacher = frozen_teacher(16 if method_needs(name).same_channels else 4)
    data = task_data(32, size=SIZE)
    weights = method_weights(name)
    history = make_trainer(
        student,
        data,
        make_phases(method_recipe(name), epochs=60, lr=0.05),
        method=built(name, student, teacher, data),
        # labels first: what a teacher that was never trained says is not to be learnt
        weights={n: {"ce": 1.0, "kd": 0.0}.get(n, 0.01 * w) for n, w in weights.items()},
        teacher=LiveTeacher(teacher),
        batch_size=16,
        crop=0,
        weight_decay=0.0,
    ).run()
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
    found = dict.fromkeys(METHODS, plain)
    for name in METHODS:
        if part := method_needs(name).teacher_part:
            spec = run_spec(
                method={"method": part}, recipe=FROZEN, init="parent", seed=7, network=TEACHER
            )
            found[name] = train(spec, data, folder / part, init=plain)
    return {"": plain, **found}


def spec_of(name: str) -> dict[str, Any]:
    options = {"negatives": 16} if name == "crd" else {}
    return run_spec(method={"method": name, **options}, recipe=method_recipe(name))


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


@pytest.mark.parametrize("name", METHODS)
def test_a_run_stopped_after_every_epoch_ends_with_the_same_bytes(
    teachers: dict[str, Path], data: Path, tmp_path: Path, name: str
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(spec_of(name), data, whole, teacher=teachers[name])
    for _ in range(spec_of(name)["training"]["epochs"]):
        with suppress(OutOfTime):
            train(spec_of(name), data, stopped, budget=1e-9, teacher=teachers[name])
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
