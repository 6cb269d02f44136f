"""Which maps are compared: paired from the deepest, whatever the families."""

import pytest
import torch
from helpers import make, network, setup, task_data
from torch import Tensor

from stagewise.errors import UserError
from stagewise.methods._connectors import (
    of_one_size,
    paired_maps,
    spread_pairs,
    stage_pairs,
    unit,
)
from stagewise.methods.base import Setup


def given(student: str, teacher: str, size: int = 32) -> Setup:
    student_network, teacher_network = (network(n, image_size=size) for n in (student, teacher))
    return setup(student_network, task_data(4, size=size), teacher_network, "at")


def stages(*numbers: int) -> list[str]:
    return [f"stage{number}" for number in numbers]


@pytest.mark.parametrize(
    ("student", "teacher", "of_student", "of_teacher"),
    [
        ("wrn16-2", "wrn40-2", (1, 2, 3), (1, 2, 3)),
        ("vgg8", "vgg13", (1, 2, 3, 4), (1, 2, 3, 4)),
        ("mobilenetv2-crd", "vgg13", (1, 2, 3, 4), (1, 2, 3, 4)),
        ("vgg8", "resnet50", (1, 2, 3, 4), (1, 2, 3, 4)),
        ("shufflenetv1-crd", "resnet32x4", (1, 2, 3), (1, 2, 3)),
        ("resnet8", "vgg8", (1, 2, 3), (2, 3, 4)),
        ("vgg8", "resnet8", (2, 3, 4), (1, 2, 3)),
    ],
)
def test_stages_are_paired_from_the_deepest(
    student: str, teacher: str, of_student: tuple[int, ...], of_teacher: tuple[int, ...]
) -> None:
    both = given(student, teacher)
    assert both.teacher is not None
    expected = tuple(zip(stages(*of_student), stages(*of_teacher), strict=True))
    assert stage_pairs(both.student, both.teacher) == expected


def test_maps_of_a_pair_have_the_smaller_ones_size() -> None:
    both = given("resnet8", "vgg8")
    assert both.teacher is not None
    pairs = stage_pairs(both.student, both.teacher)
    sizes = [
        [(tap.dtype, tap.shape[2]) for tap in maps]
        for maps in paired_maps(pairs, both.student, both.teacher)
    ]
    assert sizes == [[(torch.float32, side)] * 2 for side in (8, 4, 4)]


@pytest.mark.parametrize(("student", "teacher"), [("resnet8", "vgg8"), ("vgg8", "resnet8")])
def test_pairs_with_a_single_pixel_are_left_out_where_places_count(
    student: str, teacher: str
) -> None:
    both = given(student, teacher, 8)  # vgg8's third and fourth stage end in one pixel
    assert both.teacher is not None
    kept = spread_pairs(both.student, both.teacher, "at")
    assert kept == stage_pairs(both.student, both.teacher)[:1]


@pytest.mark.parametrize("name", ["at", "nst"])
def test_networks_without_a_map_to_compare_are_named(name: str) -> None:
    student = network("resnet10-imagenet")  # at 8 pixels, one from the second stage on
    with pytest.raises(UserError, match=f"^{name}: no two maps .* give larger images"):
        make(name, student, network("resnet8"), task_data(4))


def test_maps_of_one_size_stay_as_they_are() -> None:
    small, large = torch.rand(2, 3, 2, 2), torch.rand(2, 5, 4, 4)
    own, other = of_one_size(small, large)
    assert own is small
    expected = large.unflatten(3, (2, 2)).unflatten(2, (2, 2)).mean((3, 5))
    torch.testing.assert_close(other, expected)


@pytest.mark.parametrize("scale", [1.0, 1e-10, 1e10])
def test_unit_vectors_have_length_1(scale: float) -> None:
    vectors = scale * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(unit(vectors).norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("scale", [0.0, 1e-13, 1e-30])
def test_vectors_without_a_direction_have_no_gradient(scale: float) -> None:
    vectors: Tensor = torch.full((4, 3), scale, requires_grad=True)
    found = unit(vectors)
    (found * torch.arange(3)).sum().backward()
    assert vectors.grad is not None
    assert (found.abs().max().item(), vectors.grad.abs().max().item()) == (0, 0)
