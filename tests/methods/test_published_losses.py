"""The benchmark's opponents compute what our methods do: with the same weights, on the same images,
loss and gradients are equal."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers import ROOT, make, network, setup, shown, task_data, whole_batch
from torch import Tensor, nn

from stagewise.catalogue import method_recipe, method_weights, methods
from stagewise.methods.base import DistillationMethod
from stagewise.methods.crd import Method as OurCRD
from stagewise.models.features import Batch
from stagewise.recipes.base import make_phases

SIZE, IMAGES = 16, 8

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "benchmarks")
    from published_loop import Criterion
    from published_losses import CRITERIA
    from published_losses.vectors import CRD

MEASURED = sorted(set(CRITERIA) & set(methods()))

OPTIONS: dict[str, dict[str, Any]] = {
    "crd": {"negatives": 32},
    # All of them: of images that the teacher ranks alike, their sort and ours keep others.
    "sskd": {"wrong_kept": 1.0},
}
TOLERANCE = {"crd": 1e-5, "dist": 1e-4, "pkt": 1e-4}
"""Where they add 1e-7 or 1e-8 to denominators or probabilities."""

PLAIN = torch.contiguous_format
"""The layout of their tensors, which their views need."""


def layers(module: nn.Module) -> Iterator[list[nn.Parameter]]:
    """Parameters of each layer that has some and is trained, in order."""
    for name, layer in module.named_modules():
        own = list(layer.parameters(recurse=False))
        if own and not name.startswith("teachers"):
            yield own


def twins(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[nn.Parameter | None, Tensor]]:
    """Which parameter is which, layer by layer. They have biases where batch norm takes them away,
    and kernels of 3x3 pixels for maps of one, of which the middle counts."""
    for own, other in zip(layers(ours), layers(theirs), strict=True):
        yield from zip([*own, *[None] * (len(other) - len(own))], other, strict=True)


def middle(theirs: Tensor, ours: Tensor) -> Tensor:
    """Of a kernel, the part that is as large as ours."""
    return theirs if theirs.shape == ours.shape else theirs[:, :, 1:2, 1:2]


@torch.no_grad()
def carry(ours: nn.Module, theirs: nn.Module) -> None:
    """Our weights to theirs, and what is remembered."""
    for own, other in twins(ours, theirs):
        other.zero_()
        if own is not None:
            middle(other, own).copy_(own)
    if isinstance(theirs, CRD):
        for bank, name in ((theirs.bank_s, "student_bank"), (theirs.bank_t, "teacher_bank")):
            bank.copy_(ours.get_buffer(f"{name}.rows"))


def given(name: str, method: DistillationMethod, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """What their loader gives: images, and maybe more."""
    if name == "crd":
        assert isinstance(method, OurCRD)
        drawn = method.negatives(batch, method.number)
        return batch.images, [batch.index, torch.cat([batch.index[:, None], drawn], dim=1)]
    if name == "sskd":
        return torch.stack([batch.images.rot90(k, (2, 3)) for k in range(4)], dim=1), []
    if name == "mlkd":
        return batch.images, [method.views(batch).images[len(batch.labels) :]]
    return batch.images, []


def total(name: str, terms: dict[str, Tensor]) -> Tensor:
    """The loss of the recipe's first phase."""
    first = make_phases(method_recipe(name), epochs=240, lr=0.05)[0]
    weights = method_weights(name) if first.weights is None else first.weights
    return torch.stack([weights[key] * t for key, t in terms.items() if weights.get(key)]).sum()


def gradients(loss: Tensor, *modules: nn.Module) -> dict[Tensor, Tensor]:
    """Of the parameters that have one."""
    leaves = [p for module in modules for p in module.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss, leaves, allow_unused=True)
    return {p: g for p, g in zip(leaves, slopes, strict=True) if g is not None}


@pytest.mark.parametrize("name", MEASURED)
def test_their_loss_and_gradients_are_ours(name: str) -> None:
    data = task_data(IMAGES, size=SIZE)
    student, teacher = network(image_size=SIZE), network("resnet14", seed=1, image_size=SIZE)
    method = make(name, student, teacher, data, **OPTIONS.get(name, {}))
    theirs: Criterion = CRITERIA[name](
        replace(setup(student, data, teacher, name), teacher_part=method.teacher_part)
    )
    vars(theirs).update(OPTIONS.get(name, {}))
    carry(method, theirs)
    if method.teacher_part:
        method.teacher_part.double()
        carry(method.teacher_part, theirs.teachers)
    for module in (student, teacher):  # their batch norm would tell one view from two
        module.double().to(memory_format=PLAIN).eval()
    for part in (method, theirs):
        part.double().train()

    batch = whole_batch(data)
    images = batch.images.to(torch.float64, memory_format=PLAIN)
    batch = replace(batch, images=images, progress=batch.progress.double())
    expected = total(name, method(*shown(method, batch, student, teacher)))
    images, more = given(name, method, batch)
    found, logits = theirs.run(student, teacher, images, batch.labels, *more)

    tolerance = TOLERANCE.get(name, 1e-9)
    assert logits.shape == (IMAGES, 4)
    assert found.item() == pytest.approx(expected.item(), rel=tolerance)
    slopes, of_theirs = gradients(expected, student, method), gradients(found, student, theirs)
    twin: dict[Tensor | None, Tensor] = {p: p for p in student.parameters()}
    assert slopes.keys() & twin.keys() == of_theirs.keys() & twin.keys()
    twin |= dict(twins(method, theirs))
    largest = max(slope.abs().max().item() for slope in slopes.values())
    for parameter, slope in slopes.items():
        other = middle(of_theirs[twin[parameter]], slope)
        torch.testing.assert_close(other, slope, rtol=0, atol=tolerance * largest)
