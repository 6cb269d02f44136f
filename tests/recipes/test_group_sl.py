"""Sparse learning of groups: the penalty is that of the authors' code, and does what it is for."""

import pytest
import torch
import torch_pruning as tp
from helpers import architecture, copied, make_trainer, task_data
from torch import nn

from stagewise.errors import UserError
from stagewise.models.coupling import coupled
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.models.store import build
from stagewise.recipes.base import Phase, make_phases
from stagewise.recipes.group_sl import SparsePhase, shrinkage


def varied(name: str = "resnet8") -> Network:
    """A network whose channels all differ, with a gradient of 1 for each weight."""
    network = build(architecture(name), 0).requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
            parameter.grad = torch.ones_like(parameter)
    return network


@pytest.mark.parametrize("name", ["resnet8", "vgg8", "wrn16-1"])
def test_the_penalty_is_that_of_the_authors_code(name: str) -> None:
    ours, theirs = varied(name), varied(name)
    example = architecture(name).example()
    penalise = SparsePhase("sparse", 1, 0.1, penalty=0.02).before_update(ours, example)
    with torch.no_grad():
        penalise()
    pruner = tp.pruner.GroupNormPruner(
        theirs,
        example,
        tp.importance.GroupMagnitudeImportance(p=2, normalizer="max"),
        reg=0.02,
        ignored_layers=theirs.classifiers(),
        output_transform=outputs,
    )
    pruner.regularize(theirs)
    expected = dict(theirs.named_parameters())
    moved = 0
    for key, parameter in ours.named_parameters():
        gradient, other = parameter.grad, expected[key].grad
        assert gradient is not None
        assert other is not None
        assert torch.allclose(gradient, other, rtol=1e-4, atol=1e-6), key
        moved += not torch.equal(gradient, torch.ones_like(gradient))
    assert moved > 10


def test_weak_channels_are_pushed_hardest() -> None:
    found = shrinkage(torch.tensor([3.0, 1.0, 2.0]), 4.0)
    assert found.tolist() == [1.0, 16.0, 4.0]
    assert shrinkage(torch.tensor([3.0, 1.0, 2.0]), 0.0).tolist() == [1.0, 1.0, 1.0]
    assert shrinkage(torch.full((3,), 2.0), 4.0).tolist() == [1.0, 1.0, 1.0]  # not 0/0
    assert shrinkage(torch.zeros(2), 4.0).tolist() == [1.0, 1.0]


def spread(network: Network) -> list[float]:
    """Of each group of a network, the norm of its weakest channel over that of its strongest."""
    graph = tp.DependencyGraph().build_dependency(
        network.requires_grad_(True), architecture().example(), output_transform=outputs
    )
    importance = tp.importance.GroupMagnitudeImportance(p=2, normalizer=None)
    groups = graph.get_all_groups(network.classifiers())
    norms = [importance(group).sqrt() for group in groups]
    assert len(norms) == len(coupled(graph, network.classifiers()))
    return [(each.min() / each.max()).item() for each in norms]


def test_training_makes_weak_channels_weaker() -> None:
    plain, sparse = varied(), varied()
    before = spread(varied())
    for student, phase in (
        (plain, Phase("train", 4, 0.05)),
        (sparse, SparsePhase("sparse", 4, 0.05, penalty=0.1)),
    ):
        make_trainer(student, task_data(16), [phase]).run()
    assert all(s < p for s, p in zip(spread(sparse), spread(plain), strict=True))
    assert all(s < b for s, b in zip(spread(sparse), before, strict=True))
    kept = [m.weight for m in sparse.modules() if isinstance(m, nn.Conv2d)]
    assert all(weight.isfinite().all() for weight in kept)


def test_without_a_penalty_it_is_plain_training() -> None:
    plain, sparse = varied(), varied()
    make_trainer(plain, task_data(16), [Phase("train", 2, 0.05)]).run()
    [phase] = make_phases({"recipe": "group_sl", "penalty": 0.0}, epochs=2, lr=0.05)
    make_trainer(sparse, task_data(16), [phase]).run()
    expected = copied(plain)
    assert all(torch.equal(t, expected[k]) for k, t in sparse.state_dict().items())


@pytest.mark.parametrize(("option", "value"), [("penalty", -1.0), ("growth", 17.0)])
def test_options_out_of_range_are_named(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{option}: {value:g} is out of range"):
        make_phases({"recipe": "group_sl", option: value}, epochs=2, lr=0.1)
