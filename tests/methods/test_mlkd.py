"""MLKD in NumPy, as its paper's section 3 has it with the choices that the file states; its strong
views."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import features, make, network, task_data, whole_batch
from oracles import Array, agree, draw, kl, leaf, softmax
from torch import Tensor

from stagewise.data.batches import TaskData
from stagewise.methods.mlkd import less_sure
from stagewise.models.features import Batch

CLASSES, COUNT = 4, 6


def doubled(images: int = COUNT) -> Batch:
    """Labels and targets of two views."""
    batch = whole_batch(task_data(images))
    return replace(batch, labels=batch.labels.repeat(2), target=batch.target.repeat(2))


def lower_half(values: Array) -> Array:
    """Places of those up to the median."""
    return np.flatnonzero(values <= np.median(values))


def by_hand(student: Array, teacher: Array, labels: Array, temperature: float) -> dict[str, Any]:
    """Logits (2B, C) of both views; images and classes one by one."""
    weak, strong = slice(None, COUNT), slice(COUNT, None)
    sure = softmax(teacher[weak])
    images, classes = lower_half(sure.max(1)), lower_half(sure.sum(0))
    found: dict[str, Any] = {"ce": 0, "kd": 0, "batch": 0, "class": 0}
    for view in (weak, strong):
        found["ce"] -= np.log(softmax(student[view])[np.arange(COUNT), labels]).mean()
    for t in (temperature, 2.0, 3.0, 5.0, 6.0):
        found["kd"] += kl(teacher[strong], student[strong], t)
        for image in images:
            found["kd"] += kl(teacher[[image]], student[[image]], t) / COUNT
        p_s, p_t = softmax(student[weak] / t), softmax(teacher[weak] / t)
        for image in images:
            for other in range(COUNT):
                alike = (p_t[image] * p_t[other]).sum() - (p_s[image] * p_s[other]).sum()
                found["batch"] += alike**2 / COUNT
        for number in classes:
            for other in range(CLASSES):
                alike = (p_t[:, number] * p_t[:, other]).sum()
                alike = alike - (p_s[:, number] * p_s[:, other]).sum()
                found["class"] += alike**2 / CLASSES
    return found


@pytest.mark.parametrize("term", ["ce", "kd", "batch", "class"])
@pytest.mark.parametrize("temperature", [4.0, 1.0])
def test_mlkd_is_the_papers(term: str, temperature: float) -> None:
    student = leaf(2 * COUNT, CLASSES, seed=1, scale=3)
    teacher = draw(2 * COUNT, CLASSES, seed=2, scale=3)
    batch = doubled()
    labels = batch.labels[:COUNT].numpy()
    terms = make("mlkd", temperature=temperature)(features(student), features(teacher), batch)
    assert terms.keys() == {"ce", "kd", "batch", "class"}
    agree(
        terms[term],
        [student],
        lambda z: by_hand(z, teacher.numpy(), labels, temperature)[term],
    )


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_less_sure_half_is_up_to_the_median(count: int) -> None:
    values = torch.randperm(count, generator=torch.Generator().manual_seed(3)).float()
    assert less_sure(values).nonzero()[:, 0].tolist() == lower_half(values.numpy()).tolist()


def test_nothing_is_to_be_learnt_from_oneself() -> None:
    answers = draw(2 * COUNT, CLASSES, seed=1, scale=3).requires_grad_(True)
    terms = make("mlkd")(features(answers), features(answers.detach()), doubled())
    for term in ("kd", "batch", "class"):
        assert abs(terms[term].item()) < 1e-12


@pytest.mark.parametrize("margin", [20.0, 100.0, 500.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_finite_at_any_margin(margin: float, dtype: torch.dtype) -> None:
    right = torch.nn.functional.one_hot(torch.arange(2 * COUNT) % CLASSES, CLASSES)
    student = (margin * right).to(dtype).requires_grad_(True)
    terms = make("mlkd")(features(student), features(-student.detach()), doubled())
    torch.stack(list(terms.values())).sum().backward()
    assert all(term.isfinite() for term in terms.values())
    assert student.grad is not None
    assert student.grad.isfinite().all()


# -- strong views --------------------------------------------------------------------------------


def strong(batch: Batch, data: TaskData) -> Tensor:
    return make("mlkd", network(image_size=16), None, data).views(batch).images[len(batch.labels) :]


def test_a_strong_view_is_of_its_image_step_and_seed() -> None:
    data = task_data(24, size=16)
    batch = whole_batch(data)
    first = strong(batch, data)
    assert torch.equal(strong(batch, data), first)
    some = {name: value[5:9] for name, value in vars(batch).items() if value.dim()}
    assert torch.equal(strong(replace(batch, **some), data), first[5:9])
    later = strong(replace(batch, step=torch.tensor(1)), data)
    assert (later != first).flatten(1).any(1).float().mean() > 0.8


def test_a_strong_view_holds_grey_levels_and_the_mean() -> None:
    """What is cut out is 0, the mean; all else a level of 256."""
    data = task_data(24, size=16)
    pixels = (strong(whole_batch(data), data) * data.std + data.mean) * 255
    levels = (pixels - pixels.round()).abs() < 1e-2
    holes = (pixels - 255 * data.mean).abs() < 1e-2
    assert (levels | holes).all()
    assert 0.01 < holes.float().mean() < 0.25
    assert pixels.min() > -0.01
    assert pixels.max() < 255.01
