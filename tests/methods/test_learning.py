"""Every method with every family of networks: in each phase of its recipe all that the phase trains
gets a gradient, and nothing else does; the teacher never."""

import pytest
import torch
from helpers import copied, make, network, shown, task_data, whole_batch
from torch import Tensor, nn

from stagewise.catalogue import (
    heads,
    method_needs,
    method_recipe,
    method_weights,
    methods,
    networks,
)
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Network
from stagewise.recipes.base import Phase, make_phases

SMALLEST = {path: name for name, path in reversed(networks().items())}
FAMILIES = sorted(SMALLEST.values())
SIZES = {"resnet10-imagenet": 64, "mobilenetv2-crd": 32}
"""Sides of images whose last map has more than one pixel, where that is not 16."""
FAST = {"crd": {"negatives": 32}}
UNUSED = {"hint": "stage2.1.norm", "flow": "stage3.1.norm"}
"""Phase → the batch norm behind the sum of its deepest stage in ``wrn``, where the tap is taken: it
belongs to what follows."""
IMAGES = 15
"""Not as many in each class: else a head that starts at 0 has no gradient at its bias."""


def absorbed(module: nn.Module) -> set[str]:
    """Biases before batch norm, which subtracts them at once: these cannot learn."""
    return {
        f"{name}.0.bias"
        for name, layers in module.named_modules()
        if isinstance(layers, nn.Sequential) and len(layers) > 1
        if isinstance(layers[0], nn.Conv2d) and isinstance(layers[1], nn.BatchNorm2d)
    }


def named(parts: dict[str, nn.Module | nn.Parameter]) -> dict[str, Tensor]:
    """Parameters of parts, by name, but for those that cannot learn."""
    found: dict[str, Tensor] = {}
    for part, module in parts.items():
        if isinstance(module, nn.Parameter):
            found[part] = module
            continue
        idle = absorbed(nn.ModuleDict({"part": module}))
        own = {name: p for name, p in module.named_parameters() if f"part.{name}" not in idle}
        found |= {f"{part}.{name}": p for name, p in own.items()}
    return found


def learning(
    name: str,
    phase: Phase,
    method: DistillationMethod,
    student: Network,
    teacher: Network | None,
    size: int,
) -> tuple[set[str], set[str]]:
    """Names of the parameters that a phase trains, and of those with a gradient that is not 0."""
    parts = {**student.parts(), **method.parts()}
    moving = phase.factors(parts)
    for part, module in parts.items():
        module.requires_grad_(part in moving)
        if isinstance(module, nn.Module):
            module.train(part in moving)
    batch = whole_batch(task_data(IMAGES, size=size))
    terms = method(*shown(method, batch, student, teacher))
    weights = method_weights(name) if phase.weights is None else phase.weights
    counted = [weights[term] * value for term, value in terms.items() if weights.get(term)]
    torch.stack(counted).sum().backward()
    parameters = named(parts)
    trained = set(named({part: parts[part] for part in moving}))
    moved = {key for key, p in parameters.items() if p.grad is not None and p.grad.abs().max() > 0}
    for p in parameters.values():
        p.grad = None
    return trained, moved


@pytest.mark.parametrize("name", sorted(methods()))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_phase_gives_a_gradient_to_all_that_it_trains_and_to_nothing_else(
    name: str, family: str
) -> None:
    needs = method_needs(name)
    size = SIZES.get(family, 16)
    student = network(family, exits="sepatt" if needs.exits else None, image_size=size)
    teacher = None
    if needs.teacher:
        exits = "sepatt" if needs.teacher_part == "exits_ce" else None
        alike = exits or needs.same_channels
        other = family if alike else "resnet8" if family == "vgg8" else "vgg8"
        teacher = network(other, seed=1, exits=exits, image_size=size)
    method = make(name, student, teacher, task_data(IMAGES, size=size), **FAST.get(name, {}))
    frozen = [module for module in (teacher, method.teacher_part) if module is not None]
    before = [copied(module) for module in frozen]
    for phase in make_phases(method_recipe(name), epochs=8, lr=0.1):
        trained, moved = learning(name, phase, method, student, teacher, size)
        norm = UNUSED.get(phase.name)
        assert moved == trained - {f"{norm}.weight", f"{norm}.bias"}
    assert set(method.parameters()).isdisjoint(p for m in frozen for p in m.parameters())
    for module, start in zip(frozen, before, strict=True):
        assert all(torch.equal(tensor, start[key]) for key, tensor in copied(module).items())
        assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("head", sorted(heads()))
@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_learns(family: str, head: str) -> None:
    size = SIZES.get(family, 16)
    student = network(family, exits=head, image_size=size)
    method = make("exits_ce", student, data=task_data(IMAGES, size=size))
    phase = Phase("train", 1, 0.1)
    trained, moved = learning("exits_ce", phase, method, student, None, size)
    assert moved == trained
