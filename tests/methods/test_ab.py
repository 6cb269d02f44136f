"""AB against torchdistill's ``AltActTransferLoss``, a port of the authors' code.

It has neither the 3/1000 nor the halving per stage; its weights can say the latter.
"""

import numpy as np
import pytest
import torch
from helpers import make, network, shown, task_data, whole_batch
from oracles import draw, leaf, same
from torch import Tensor, nn
from torchdistill.losses.mid_level import AltActTransferLoss

from stagewise.methods.ab import Method as AB
from stagewise.methods.ab import boundary_loss, stages_loss

SIZE = 16


def torchdistills(students: list[Tensor], teachers: list[Tensor], margin: float) -> Tensor:
    def named(maps: list[Tensor]) -> dict[str, dict[str, Tensor]]:
        return {str(number): {"output": tap} for number, tap in enumerate(maps)}

    def entry(number: int) -> dict[str, str]:
        return {"io": "output", "path": str(number)}

    pairs = {
        number: {
            "student": entry(number),
            "teacher": entry(number),
            "weight": 2.0 ** (number - len(students) + 1),
        }
        for number in range(len(students))
    }
    loss = AltActTransferLoss(pairs, margin, "mean")(named(students), named(teachers))
    assert isinstance(loss, Tensor)
    return loss


@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_ab_is_the_authors(margin: float) -> None:
    shapes = [(3, 4, 4, 4), (3, 2, 4, 4), (3, 5, 2, 2)]
    students = [leaf(*shape, seed=n, scale=2) for n, shape in enumerate(shapes)]
    teachers = [draw(*shape, seed=n + 9) for n, shape in enumerate(shapes)]
    found = stages_loss(zip(students, teachers, strict=True), margin)
    same(found, 3 / 1000 * torchdistills(students, teachers, margin), students)


def test_a_neuron_on_the_teachers_side_by_the_margin_has_nothing_to_learn() -> None:
    teacher = torch.tensor([2.0, 0.1, 0.0, -3.0])[None, :, None, None]
    sure = torch.tensor([1.0, 1.5, -1.0, -9.0])[None, :, None, None]
    assert boundary_loss(sure, teacher, 1.0).item() == 0
    assert boundary_loss(-sure, teacher, 1.0).item() == 2.0**2 + 2.5**2 + 2.0**2 + 10.0**2


def test_connectors_are_the_benchmarks_without_a_relu() -> None:
    """Convolution and batch norm; between equal shapes, nothing."""
    data = task_data(8, size=SIZE)
    other = make("ab", network(image_size=SIZE), network("vgg8", image_size=SIZE), data)
    alike = make("ab", network(image_size=SIZE), network("resnet14", image_size=SIZE), data)
    assert isinstance(other, AB)
    assert isinstance(alike, AB)
    assert other.pairs == tuple((f"stage{n}.pre", f"stage{n + 1}.pre") for n in (1, 2, 3))
    for led in other.connectors:
        assert isinstance(led, nn.Sequential)
        assert [type(layer) for layer in led][1:] == [nn.BatchNorm2d]
    assert [type(led) for led in alike.connectors] == [nn.Identity] * 3
    assert not list(alike.parameters())


def test_what_the_relus_get_is_compared() -> None:
    student, teacher = network(image_size=SIZE), network("resnet14", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("ab", student, teacher, data, margin=0.7)
    of_student, of_teacher, batch = shown(method, whole_batch(data), student, teacher)
    assert of_teacher is not None

    expected = 0.0
    for number, stage in enumerate(student.stages):
        s, t = (each.taps[f"{stage}.pre"].detach().numpy() for each in (of_student, of_teacher))
        beyond = np.where(t > 0, np.maximum(0.7 - s, 0), np.maximum(0.7 + s, 0))
        expected += 0.003 * 0.5 ** (2 - number) * float((beyond**2).sum()) / len(s)
    terms = method(of_student, of_teacher, batch)
    assert terms["boundary"].item() == pytest.approx(expected, rel=1e-5)
