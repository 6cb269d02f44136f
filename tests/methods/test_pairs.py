"""Every method on the CRD benchmark's pairs of two families, as narrow as the zoo has them: built,
trained for a step in each phase, and evaluated, on two images."""

import math
from copy import deepcopy
from functools import cache

import pytest
import torch
from helpers import ONE_STAGE, make, make_trainer, network, task_data

from stagewise.catalogue import (
    method_needs,
    method_recipe,
    method_weights,
    methods,
    network_options,
)
from stagewise.models.features import Network
from stagewise.recipes.base import make_phases
from stagewise.training.teachers import LiveTeacher

PAIRS = [
    ("vgg13", "mobilenetv2-crd"),
    ("resnet50", "mobilenetv2-crd"),
    ("resnet50", "vgg8"),
    ("resnet32x4", "shufflenetv1-crd"),
    ("resnet32x4", "shufflenetv2-crd"),
    ("wrn40-2", "shufflenetv1-crd"),
]
"""Teacher and student."""
SIZE = 32
METHODS = sorted(n for n in methods() if not method_needs(n).same_channels)
"""Those that ask for equal channels are of pairs of one family."""


@cache
def kept(name: str, exits: str | None) -> Network:
    """A network, to be copied."""
    width = min(2, network_options(name)["width"])
    return network(name, exits=exits, image_size=SIZE, options={"width": width})


@pytest.mark.parametrize("pair", PAIRS, ids=":".join)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_and_evaluates_a_student_of_another_family(
    name: str, pair: tuple[str, str]
) -> None:
    needs, data = method_needs(name), task_data(2, size=SIZE)
    teacher = deepcopy(kept(pair[0], "sepatt" if needs.teacher_part == "exits_ce" else None))
    teacher.eval().requires_grad_(False)
    student = deepcopy(kept(pair[1], "sepatt" if needs.exits else None))
    torch.manual_seed(0)
    options = {"negatives": 32} if needs.remembers else {}
    recipe = method_recipe(name)
    epochs = 1 if recipe == ONE_STAGE else 2
    given = teacher if needs.teacher else None
    history = make_trainer(
        student,
        data,
        make_phases(recipe, epochs=epochs, lr=1e-4, paths=student.paths()),
        method=make(name, student, given, data, **options),
        weights=method_weights(name),
        teacher=LiveTeacher(teacher) if needs.teacher else None,
        batch_size=2,
        evaluate_every=epochs,
    ).run()
    assert len(history) == epochs
    assert math.isfinite(history[-1]["train_loss"])
    assert math.isfinite(history[-1]["validation_loss"])
    assert 0 <= history[-1]["validation_accuracy"] <= 100
