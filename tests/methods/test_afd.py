"""AFD against the authors' code (clovaai, ``distill/AFD.py``), transcribed to NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import make, network, setup, task_data, whole_batch
from oracles import Array, agree, draw, leaf, normed, rectified, softmax
from torch import Tensor

from stagewise.methods.afd import Method as AFD
from stagewise.methods.afd import afd_loss
from stagewise.models.features import Features


def averaged(energy: Array, side: int) -> Array:
    """(B, H, H) → (B, side, side): means over squares, or repeated pixels where it is smaller."""
    if energy.shape[1] < side:
        factor = side // energy.shape[1]
        return energy.repeat(factor, 1).repeat(factor, 2)
    step = energy.shape[1] // side
    return energy.reshape(len(energy), side, step, side, step).mean((2, 4))


def unit(values: Array) -> Array:
    out: Array = values / np.sqrt((values**2).sum(-1, keepdims=True))
    return out


def afd_by_hand(students: list[Array], teachers: list[Array], layers: dict[str, Array]) -> Any:
    """Batch-normed linear keys (with ReLU) and queries of the maps' means, a bilinear layer, the
    positions; softmax over the student's blocks; squared differences of normalised energies."""

    def linear(name: str, values: Array) -> Array:
        weight, scale, shift = (
            layers[f"{name}.{part}"] for part in ("0.weight", "1.weight", "1.bias")
        )
        return normed(values @ weight.T, scale, shift)

    count, width = len(students[0]), layers["student_position"].shape[1]
    keys = [rectified(linear(f"keys.{n}", f.mean((2, 3)))) for n, f in enumerate(students)]
    stacked = np.stack(keys, 1).reshape(count * len(students), width)
    bilinear = linear("bilinear", stacked).reshape(count, len(students), len(teachers), width)
    loss = 0
    for t, map_t in enumerate(teachers):
        query = linear(f"queries.{t}", map_t.mean((2, 3)))
        scores = np.stack([(bilinear[:, s, t] * query).sum(1) for s in range(len(students))], 1)
        positions = layers["student_position"] @ layers["teacher_position"][t]
        attention = softmax((scores + positions) / np.sqrt(width))
        side = map_t.shape[2]
        v_t = unit((map_t**2).mean(1).reshape(count, -1))
        for s, map_s in enumerate(students):
            v_s = unit(averaged((map_s**2).mean(1), side).reshape(count, -1))
            loss = loss + (attention[:, s] * ((v_s - v_t) ** 2).mean(1)).mean()
    return loss


def afd_case() -> tuple[AFD, list[Tensor], list[Tensor]]:
    """Two student blocks, three teacher blocks, of three sizes."""
    students = [leaf(4, 3, 4, 4, seed=1), leaf(4, 2, 2, 2, seed=2)]
    teachers = [draw(4, 2, 4, 4, seed=3), draw(4, 3, 4, 4, seed=4), draw(4, 2, 2, 2, seed=5)]

    def as_features(maps: list[Tensor]) -> Features:
        taps = {f"stage{n}.0": tap.detach() for n, tap in enumerate(maps, 1)}
        return Features(draw(4, 4), {"stem": taps["stage1.0"], **taps}, draw(4, 4))

    torch.manual_seed(0)
    given = replace(
        setup(network(), task_data(4), network()),
        student=as_features(students),
        teacher=as_features(teachers),
    )
    method = AFD(given, qk_dim=5).double()
    with torch.no_grad():
        for number, parameter in enumerate(method.parameters()):
            parameter.add_(draw(*parameter.shape, seed=10 + number, scale=0.3))
    return method, students, teachers


def test_afd_is_the_authors() -> None:
    method, students, teachers = afd_case()
    names, parameters = zip(*method.named_parameters(), strict=True)

    def formula(first: Array, second: Array, *values: Array) -> Any:
        by_name = dict(zip(names, values, strict=True))
        return afd_by_hand([first, second], [t.numpy() for t in teachers], by_name)

    means = [[tap.mean((2, 3)) for tap in maps] for maps in (students, teachers)]
    loss = afd_loss(students, teachers, method.attention(*means))
    agree(loss, [*students, *parameters], formula)
    taps = [
        {f"stage{n}.{0}": tap for n, tap in enumerate(maps, 1)} for maps in (students, teachers)
    ]
    logits = draw(4, 4)
    terms = method(
        Features(logits, taps[0], logits),
        Features(logits, taps[1], logits),
        whole_batch(task_data(4)),
    )
    assert terms["afd"].item() == pytest.approx(loss.item(), rel=1e-12)


def test_attention_is_shared_out_over_the_students_blocks() -> None:
    method, students, teachers = afd_case()
    attention = method.attention(
        *([tap.mean((2, 3)) for tap in maps] for maps in (students, teachers))
    )
    assert attention.shape == (4, 3, 2)
    torch.testing.assert_close(attention.sum(2), torch.ones(4, 3, dtype=torch.float64))


def test_the_scale_of_maps_means_nothing() -> None:
    _, students, teachers = afd_case()
    even = torch.full((4, 3, 2), 0.5, dtype=torch.float64)
    assert afd_loss([3 * tap for tap in students], teachers, even).item() == pytest.approx(
        afd_loss(students, teachers, even).item(), rel=1e-10
    )
    alike = [7 * teachers[0], 0.1 * teachers[0]]
    assert afd_loss(alike, teachers[:1], even[:, :1]).item() < 1e-25


def test_a_teachers_map_of_one_pixel_is_left_out() -> None:
    data = task_data(8, size=16)
    method = make("afd", network(image_size=16), network("vgg8", image_size=16), data)
    small = task_data(8, size=8)  # the last two blocks' maps have one pixel
    fewer = make("afd", network(), network("vgg8"), small)
    assert isinstance(method, AFD)
    assert isinstance(fewer, AFD)
    assert (len(method.queries), len(fewer.queries)) == (4, 2)
