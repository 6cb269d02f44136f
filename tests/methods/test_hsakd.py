"""HSAKD against the equations of its paper (arXiv 2107.13715, section 3), in NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make, network, shown, task_data, whole_batch
from oracles import Array, agree, draw, kl, leaf, softmax
from torch import Tensor, nn

from stagewise.methods.hsakd import Method as HSAKD
from stagewise.methods.hsakd import heads_loss
from stagewise.models.features import Features

SIZE = 16


class Said(nn.Module):
    """Heads that say this, whatever they are shown."""

    def __init__(self, logits: list[Tensor]) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, features: Features) -> list[Tensor]:
        return self.logits


def test_rotations_and_joint_labels_are_numpys() -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    part = make("hsakd", student, teacher, data).teacher_part
    assert part is not None
    batch = part.views(whole_batch(data))
    upright = whole_batch(data).images.numpy()
    for turns, copies in enumerate(batch.images.split(8)):
        assert np.array_equal(copies.numpy(), np.rot90(upright, turns, (2, 3)))
    labels = data.train.labels.numpy()
    joint = np.concatenate([4 * labels + turns for turns in range(4)])
    of_teacher = teacher.eval()(batch.images)
    heads = [leaf(*z.shape, seed=n) for n, z in enumerate(part.get_submodule("heads")(of_teacher))]
    assert [logits.shape for logits in heads] == [(32, 16)] * 4
    part.set_submodule("heads", Said(heads))

    def formula(*heads: Array) -> Any:
        return sum(-np.log(softmax(z)[np.arange(32), joint]).mean() for z in heads)

    agree(part(of_teacher, None, batch)["ce"], heads, formula)


def test_hsakd_is_the_papers() -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("hsakd", student, teacher, data)
    part = method.teacher_part
    assert isinstance(method, HSAKD)
    assert part is not None
    for module in (student, teacher, method, part):
        module.double()
    batch = whole_batch(data)
    batch = replace(batch, images=batch.images.double())
    of_student, of_teacher, seen = shown(method, batch, student, teacher)
    assert of_teacher is not None
    own, theirs = method.heads(of_student), part.get_submodule("heads")(of_teacher)
    assert (len(own), len(theirs)) == (3, 4)  # the student's three learn from the deepest three
    arrays = [z.detach().numpy() for z in (of_student.logits, of_teacher.logits, *own, *theirs)]
    upright = -np.log(softmax(arrays[0][:8])[np.arange(8), data.train.labels.numpy()]).mean()
    expected = {
        "ce": upright,
        "kd": kl(arrays[1], arrays[0], 3.0),
        "heads": sum(kl(t, s, 3.0) for s, t in zip(arrays[2:5], arrays[6:9], strict=True)),
    }
    found = method(of_student, of_teacher, seen)
    assert found.keys() == expected.keys()
    for term, value in expected.items():
        assert found[term].item() == pytest.approx(float(value), rel=1e-10)


def test_heads_loss_is_the_papers() -> None:
    student = [leaf(8, 12, seed=seed) for seed in (1, 2)]
    teacher = [draw(8, 12, seed=seed) for seed in (3, 4, 5)]

    def formula(*heads: Array) -> Any:
        return sum(kl(t.numpy(), s, 3.0) for s, t in zip(heads, teacher[1:], strict=True))

    agree(heads_loss(student, teacher, 3.0), student, formula)
    assert abs(heads_loss(teacher[1:], teacher, 3.0).item()) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_heads_go_on_in_the_precision_of_the_taps(dtype: torch.dtype) -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    heads = make("hsakd", student, teacher, data).get_submodule("heads")
    features = student(whole_batch(data).images)
    if dtype == torch.float64:
        heads.double()
    seen: set[torch.dtype] = set()
    for layer in heads.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda module, given, output: seen.add(output.dtype))
    taps = {name: tap.to(dtype) for name, tap in features.taps.items()}
    logits = heads(features._replace(taps=taps))
    assert seen == {dtype}
    assert {z.dtype for z in logits} == {torch.promote_types(dtype, torch.float32)}
