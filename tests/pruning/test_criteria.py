"""Criteria: each one's scores against a naive computation, and what they do where
Torch-Pruning's own would fail."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch_pruning as tp
from helpers import copied, task_data
from torch import nn
from torch.nn.functional import cross_entropy

from stagewise.catalogue import criteria
from stagewise.models.features import Network
from stagewise.models.history import outputs
from stagewise.models.store import Architecture, build
from stagewise.pruning.prune import prune
from stagewise.pruning.reach import Limits
from stagewise.pruning.scores import Scores, loss_gradients

Vector = npt.NDArray[np.float64]

OUT, IN = 0, 1
GROUPS = {
    "stage2.0.first.0": {
        "stage2.0.first.0": OUT,
        "stage2.0.first.1": OUT,
        "stage2.0.second.0": IN,
    },
    "stem.0": {
        "stem.0": OUT,
        "stem.1": OUT,
        "stage1.0.first.0": IN,
        "stage1.0.second.0": OUT,
        "stage1.0.second.1": OUT,
        "stage2.0.first.0": IN,
        "stage2.0.shortcut.0": IN,
    },
}
"""Of a ResNet-8: the layers of two groups, and whether their outputs or inputs are in it."""


class Given(NamedTuple):
    network: Network
    groups: dict[str, Any]
    gradients: dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def given() -> Given:
    """A network whose weights all differ, gradients, and its groups by their first layer."""
    shape = Architecture("resnet8", {"width": 4}, 4, 1, 12)
    network = build(shape, 3).requires_grad_(True)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    graph = tp.DependencyGraph().build_dependency(
        network, shape.example(), output_transform=outputs
    )
    names = {module: name for name, module in network.named_modules()}
    found = graph.get_all_groups(network.classifiers())
    groups = {names[group[0].dep.target.module]: group for group in found}
    loss_gradients(network, task_data(), 0)
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return Given(network, groups, gradients)


def rows(given: Given, group: str, *, slope: bool = False) -> Iterator[tuple[str, list[Vector]]]:
    """Each layer of a group: for each channel, its weights, or these times their gradients."""
    for name, side in GROUPS[group].items():
        weight = given.network.get_submodule(name).get_parameter("weight").detach()
        values = weight * given.gradients[f"{name}.weight"] if slope else weight
        array = values.double().numpy()
        if side == IN:
            array = array.swapaxes(0, 1)
        yield name, [channel.ravel() for channel in array]


def mean_over_layers(
    given: Given, group: str, power: int, *, slope: bool = False, norms_only: bool = False
) -> Vector:
    """Σ |w|^power of each channel, averaged over the group's layers."""
    layers = [
        [sum(abs(value) ** power for value in channel) for channel in channels]
        for name, channels in rows(given, group, slope=slope)
        if not norms_only or isinstance(given.network.get_submodule(name), nn.BatchNorm2d)
    ]
    return np.array([sum(each) / len(layers) for each in zip(*layers, strict=True)])


def relative(scores: Vector) -> Vector:
    return scores / (sum(scores) / len(scores))


def lamp(scores: Vector) -> Vector:
    return np.array([own / sum(each for each in scores if each >= own) for own in scores])


NAIVE = {
    "l1": lambda given, group: relative(mean_over_layers(given, group, 1)),
    "l2": lambda given, group: relative(mean_over_layers(given, group, 2)),
    "isomorphic": lambda given, group: relative(mean_over_layers(given, group, 2)),
    "uniform": lambda given, group: relative(mean_over_layers(given, group, 2)),
    "bn_scale": lambda given, group: relative(mean_over_layers(given, group, 1, norms_only=True)),
    "taylor": lambda given, group: relative(mean_over_layers(given, group, 1, slope=True)),
    "lamp": lambda given, group: lamp(mean_over_layers(given, group, 2)),
    "group_sl": lambda given, group: (
        mean_over_layers(given, group, 2) / max(mean_over_layers(given, group, 2))
    ),
}


def test_every_criterion_has_a_naive_form() -> None:
    assert {*NAIVE, "random"} == {*criteria()}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("criterion", NAIVE)
def test_scores_are_those_of_a_naive_computation(given: Given, criterion: str, group: str) -> None:
    before = copied(given.network)
    found = Scores(criterion)(given.groups[group]).double().numpy()
    assert found == pytest.approx(NAIVE[criterion](given, group), rel=1e-4)
    assert len({*found.tolist()}) == len(found)
    assert all(torch.equal(t, before[k]) for k, t in given.network.state_dict().items())


def test_random_scores_are_uniform_and_drawn_anew(given: Given) -> None:
    scores = Scores("random")
    drawn = torch.cat([scores(given.groups["stem.0"]) for _ in range(500)])
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)


def test_gradients_are_those_of_the_labels_loss(given: Given) -> None:
    data, network = task_data(), given.network
    before = copied(network)
    loss_gradients(network, data, 0)
    network.eval()
    loss = cross_entropy(network(data.normalise(data.train.images)).logits, data.train.labels)
    weight = network.get_submodule("stem.0").get_parameter("weight")
    assert weight.grad is not None
    expected = torch.autograd.grad(loss, weight)[0]
    assert torch.allclose(weight.grad, expected, rtol=1e-4, atol=1e-6)
    assert all(torch.equal(t, before[k]) for k, t in network.state_dict().items())


# -- where Torch-Pruning's own fail ---------------------------------------------------------------


def test_taylor_counts_batch_norm_and_weights_without_a_gradient(given: Given) -> None:
    group, network = given.groups["stem.0"], given.network
    weights = [network.get_submodule(n).get_parameter("weight") for n in ("stem.1", "stem.0")]
    kept, found = [weight.grad for weight in weights], [Scores("taylor")(group)]
    for weight in weights:
        weight.grad = None
        found.append(Scores("taylor")(group))
    with pytest.raises(AttributeError):
        tp.importance.GroupTaylorImportance()(group)
    for weight, gradient in zip(weights, kept, strict=True):
        weight.grad = gradient
    assert not torch.allclose(found[0], found[1])
    assert not torch.allclose(found[1], found[2])
    assert all(scores.isfinite().all() for scores in found)


def test_a_group_without_batch_norm_is_scored_as_the_mean() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3))
    graph = tp.DependencyGraph().build_dependency(network, torch.zeros(1, 1, 8, 8))
    group = next(iter(graph.get_all_groups([network[1]])))
    assert tp.importance.BNScaleImportance()(group) is None
    assert Scores("bn_scale")(group).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("criterion", sorted({*NAIVE} - {"taylor"}))
def test_channels_without_weights_are_the_weakest(criterion: str) -> None:
    shape = Architecture("resnet8", {"width": 4}, 4, 1, 12)
    network = build(shape, 3).requires_grad_(True)
    with torch.no_grad():
        for name in GROUPS["stage2.0.first.0"]:
            network.get_submodule(name).get_parameter("weight").zero_()
    graph = tp.DependencyGraph().build_dependency(
        network, shape.example(), output_transform=outputs
    )
    group = graph.get_pruning_group(
        network.get_submodule("stage2.0.first.0"), tp.prune_conv_out_channels, [*range(8)]
    )
    assert Scores(criterion)(group).tolist() == [0.0] * 8


def test_one_shot_scores_lose_what_is_gone(given: Given) -> None:
    scores, group = Scores("l2", one_shot=True), given.groups["stage2.0.first.0"]
    root = group[0].dep.target.module
    first = scores(group).clone()
    scores.forget(root, [1, 3])
    assert torch.equal(scores(group), first[[0, 2, *range(4, len(first))]])
    assert scores.weakest_first(root, [0, 1, 2]) == sorted(
        range(3), key=scores(group).tolist().__getitem__
    )


@pytest.mark.parametrize(("name", "width"), [("resnet14", 16), ("vgg8", 16)])
def test_uniform_thinning_takes_the_same_share_of_every_group(name: str, width: int) -> None:
    shape = Architecture(name, {"width": width}, 4, 1, 12)
    network = build(shape, 3)
    dense = {n: t.shape[0] for n, t in network.state_dict().items() if t.dim() == 4}
    with torch.no_grad():  # one stage's norms are far below the others'
        for parameter in network.get_submodule("stage2").parameters():
            parameter.mul_(0.01)
    prune(
        network, shape, criterion="uniform", ratio=3.0, limits=Limits(1, 0.1), tolerance=0.1, seed=0
    )
    kept = [network.state_dict()[n].shape[0] / count for n, count in dense.items()]
    assert max(kept) - min(kept) <= 2 / width, kept


def test_isomorphic_ranking_takes_the_same_share_of_each_kind_of_group() -> None:
    shape = Architecture("resnet14", {"width": 16}, 4, 1, 12)
    inner = [f"stage{stage}.{block}.first.0" for stage in (1, 2, 3) for block in (0, 1)]

    def shares(criterion: str) -> tuple[float, float]:
        """Of the channels of inner and of coupled convolutions, those that are gone."""
        network = build(shape, 3)
        dense = {
            name: network.get_submodule(name).get_parameter("weight").shape[0] for name in inner
        }
        with torch.no_grad():  # inner channels differ by far more than the others
            for name in inner:
                norm = network.get_submodule(name.replace("first.0", "first.1"))
                norm.get_parameter("weight").mul_(torch.logspace(0, 3, dense[name]))
        limits = Limits(1, 0.1)
        prune(network, shape, criterion=criterion, ratio=1.7, limits=limits, tolerance=0.1, seed=0)
        left = {
            name: network.get_submodule(name).get_parameter("weight").shape[0] for name in inner
        }
        stages = [network.get_submodule(f"stage{n}.0.second.0") for n in (1, 2, 3)]
        kept = sum(stage.get_parameter("weight").shape[0] for stage in stages)
        return 1 - sum(left.values()) / sum(dense.values()), 1 - kept / (16 + 32 + 64)

    alike, apart = shares("isomorphic"), shares("l2")
    assert alike[0] == pytest.approx(alike[1], abs=0.08)
    assert apart[0] > apart[1] + 0.3
