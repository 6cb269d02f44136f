"""Every method with every family of networks: all that can learn does, and the teacher never."""

import pytest
import torch
from helpers import copied, network, task_data, whole_batch
from torch import nn

from stagewise.catalogue import method_needs, method_options, method_weights, methods, networks
from stagewise.methods.base import make_method
from stagewise.models.features import Network
from stagewise.training.sgd import SGD

SMALLEST = {path: name for name, path in reversed(networks().items())}
FAMILIES = sorted(SMALLEST.values())
TEACHERS = ["resnet8", "vgg8"]


def biases_before_batch_norm(student: Network) -> set[int]:
    """Batch norm subtracts a bias before it at once: these cannot learn."""
    return {
        id(layers[0].bias)
        for layers in student.modules()
        if isinstance(layers, nn.Sequential) and len(layers) > 1
        if isinstance(layers[0], nn.Conv2d) and isinstance(layers[1], nn.BatchNorm2d)
    }


def step(name: str, student: Network, teacher: Network) -> set[str]:
    """Names of the parameters of student and method that one step on a batch does not move."""
    method = make_method({"method": name, **method_options(name)})
    batch = whole_batch(task_data(16))
    student.train()
    with torch.no_grad():
        answer = teacher.eval()(batch.images)
    terms = method(student(batch.images), answer, batch)
    weights = method_weights(name)
    torch.stack([weights[term] * value for term, value in terms.items()]).sum().backward()
    parameters = {**dict(student.named_parameters()), **dict(method.named_parameters())}
    absorbed = biases_before_batch_norm(student)
    before = {key: p.detach().clone() for key, p in parameters.items()}
    idle = {key for key, p in parameters.items() if p.grad is None}
    SGD(parameters.values(), momentum=0.9, weight_decay=0.0).step(0.1)
    return idle | {
        key
        for key, p in parameters.items()
        if id(p) not in absorbed and torch.equal(p, before[key])
    }


@pytest.mark.parametrize("name", sorted(methods()))
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("teacher_family", TEACHERS)
def test_every_learnable_parameter_moves_in_one_step(
    name: str, family: str, teacher_family: str
) -> None:
    needs = method_needs(name)
    if "teacher_exits" in needs:
        teacher_family = family  # as many exits as the student has
    exits = "sepatt" if "exits" in needs else None
    teacher = network(teacher_family, seed=1, exits="sepatt" if "teacher_exits" in needs else None)
    before = copied(teacher)
    assert step(name, network(family, exits=exits), teacher) == set()
    assert all(torch.equal(tensor, before[key]) for key, tensor in copied(teacher).items())
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_zoo_learns(name: str) -> None:
    assert step("kd", network(name), network("resnet8", seed=1)) == set()


@pytest.mark.parametrize("head", ["linear", "sepatt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_learns(family: str, head: str) -> None:
    assert step("exits_ce", network(family, exits=head), network("resnet8", seed=1)) == set()
