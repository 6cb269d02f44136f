"""The losses: against formulas by hand, in their conventions, finite wherever logits may go."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from helpers import features, make, network, task_data, whole_batch
from numpy.typing import NDArray
from oracles import Array, agree, draw, kl, leaf, same
from oracles import softmax as softmax_by_hand
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax
from torchdistill.losses.mid_level import KDLoss

from stagewise.catalogue import method_needs, method_options, methods
from stagewise.methods.base import DistillationMethod, soft_target_loss
from stagewise.methods.exits_ce import exits_cross_entropy
from stagewise.methods.mskd import mskd_loss
from stagewise.methods.oto import oto_loss

TEMPERATURES = [0.5, 1.0, 4.0, 20.0]


def logits(rows: int = 6, classes: int = 5, seed: int = 0, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(rows, classes, generator=torch.Generator().manual_seed(seed))


def by_hand(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """T² KL(teacher ‖ student), summed over classes and averaged over rows, in float64."""

    def softened(values: Tensor) -> NDArray[np.float64]:
        powers = np.exp(values.double().numpy() / temperature)
        shares: NDArray[np.float64] = powers / powers.sum(1, keepdims=True)
        return shares

    p, q = softened(teacher), softened(student)
    return float(temperature**2 * (p * np.log(p / q)).sum(1).mean())


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_soft_targets_are_the_formula_by_hand(temperature: float) -> None:
    student, teacher = logits(seed=1), logits(seed=2)
    expected = by_hand(student, teacher, temperature)
    found = soft_target_loss(student, teacher, temperature).item()
    assert found == pytest.approx(expected, rel=2e-5)


def test_soft_targets_against_numbers_on_paper() -> None:
    # softmax([0, 0]) = (1/2, 1/2); softmax([ln 3, 0]) = (3/4, 1/4)
    student, teacher = torch.zeros(1, 2), torch.tensor([[np.log(3.0), 0.0]])
    expected = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    assert soft_target_loss(student, teacher, 1.0).item() == pytest.approx(expected, rel=1e-6)
    doubled = soft_target_loss(2 * student, 2 * teacher, 2.0).item()
    assert doubled == pytest.approx(4 * expected, rel=1e-6)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_the_gradient_is_the_difference_of_probabilities_times_t(temperature: float) -> None:
    student, teacher = logits(seed=1).requires_grad_(True), logits(seed=2)
    soft_target_loss(student, teacher, temperature).backward()
    difference = softmax(student / temperature, 1) - softmax(teacher / temperature, 1)
    assert student.grad is not None
    expected = temperature * difference.detach() / len(student)
    assert torch.allclose(student.grad, expected, atol=1e-6)


def test_t_squared_keeps_the_gradient_at_high_temperature() -> None:
    norms = []
    for temperature in (20.0, 80.0):
        student = logits(seed=1).requires_grad_(True)
        soft_target_loss(student, logits(seed=2), temperature).backward()
        assert student.grad is not None
        norms.append(student.grad.norm().item())
    assert norms[1] == pytest.approx(norms[0], rel=0.15)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_student_that_equals_its_teacher_has_nothing_to_learn(temperature: float) -> None:
    student = logits().requires_grad_(True)
    loss = soft_target_loss(student, logits(), temperature)
    loss.backward()
    assert student.grad is not None
    assert abs(loss.item()) < 1e-5
    assert student.grad.abs().max() < 1e-6


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_a_shift_of_all_logits_changes_nothing(temperature: float) -> None:
    student, teacher = logits(seed=1), logits(seed=2)
    shift = torch.tensor([[-40.0], [7.0], [0.0], [3.0], [100.0], [-1.0]])
    plain = soft_target_loss(student, teacher, temperature).item()
    assert soft_target_loss(student + shift, teacher, temperature).item() == pytest.approx(
        plain, rel=1e-3
    )
    assert soft_target_loss(student, teacher - shift, temperature).item() == pytest.approx(
        plain, rel=1e-3
    )


def test_swapping_student_and_teacher_is_another_loss() -> None:
    one, two = logits(seed=1), logits(seed=2)
    assert soft_target_loss(one, two, 1.0).item() != pytest.approx(
        soft_target_loss(two, one, 1.0).item(), rel=1e-2
    )


def on_vectors(name: str) -> bool:
    """Whether a method's losses are functions of logits and pooled vectors alone."""
    needs = method_needs(name)
    part = needs.teacher_part not in ("", "exits_ce")
    return not (needs.live_teacher or needs.remembers or part or name in OF_MAPS)


OF_MAPS = {"paraphraser", "rotation_heads"}
"""Parts of a teacher, which read the taps of the network that they are trained on."""
METHODS = sorted(name for name in methods() if on_vectors(name))
"""``test_contract.py`` has what holds for all."""

SOFTENING = {"temperature": 1, "tau": 1, "gamma": -1}
"""Options that soften, and with which power of a temperature they do."""


def made(name: str, **options: Any) -> DistillationMethod:
    """A method for networks whose pooled vectors are as wide as their logits."""
    exits = "sepatt" if method_needs(name).exits else None
    narrow = network(options={"width": 1}, exits=exits)
    return make(name, narrow, narrow, **options)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("temperature", [0.5, 4.0, 20.0])
@pytest.mark.parametrize("margin", [20.0, 100.0, 500.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loss_and_gradient_are_finite_at_any_margin(
    name: str, temperature: float, margin: float, dtype: torch.dtype
) -> None:
    options = {
        option: temperature**power
        for option, power in SOFTENING.items()
        if option in method_options(name)
    }
    method = made(name, **options)
    batch = whole_batch(task_data(4))
    sure = margin * torch.nn.functional.one_hot(torch.tensor([1, 2, 3, 0]), 4)  # all wrong
    student = [(sure - margin * k / 3).to(dtype).requires_grad_(True) for k in range(3)]
    teacher = [(-sure + k).to(dtype) for k in range(3)]
    terms = method(features(student[-1], student), features(teacher[-1], teacher), batch)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    assert total.isfinite()
    for z in student:
        if z.grad is not None:
            assert z.grad.isfinite().all()
    assert student[-1].grad is not None
    assert student[-1].grad.abs().max() > 0


def test_half_precision_logits_lose_nothing_more_in_the_loss() -> None:
    student, teacher = logits(seed=1).bfloat16(), logits(seed=2).bfloat16()
    found = soft_target_loss(student, teacher, 4.0)
    assert found.item() == pytest.approx(by_hand(student.float(), teacher.float(), 4.0), rel=1e-4)


def test_kd_is_cross_entropy_and_soft_targets() -> None:
    batch = whole_batch(task_data(6))
    student, teacher = logits(classes=4, seed=1), logits(classes=4, seed=2)
    terms = make("kd", temperature=2.0)(features(student), features(teacher), batch)
    assert terms.keys() == {"ce", "kd"}
    assert terms["ce"].item() == pytest.approx(cross_entropy(student, batch.labels).item())
    assert terms["kd"].item() == pytest.approx(by_hand(student, teacher, 2.0), rel=1e-5)


def labels_by_hand(z: Array, labels: Array) -> Any:
    """Mean cross-entropy."""
    return -np.log(softmax_by_hand(z)[np.arange(len(z)), labels]).mean()


def test_a_shuffled_teacher_speaks_of_the_next_image() -> None:
    batch = whole_batch(task_data(6))
    student, teacher = leaf(6, 4, seed=1, scale=3), draw(6, 4, seed=2, scale=3)
    terms = make("kd_shuffled")(features(student), features(teacher), batch)
    moved = teacher[[5, 0, 1, 2, 3, 4]].numpy()
    agree(terms["kd"], [student], lambda z: kl(moved, z, 4.0))
    agree(terms["ce"], [student], lambda z: labels_by_hand(z, batch.labels.numpy()))


def test_ce_asks_for_no_teacher() -> None:
    batch = whole_batch(task_data(6))
    student = leaf(6, 4, scale=3)
    terms = make("ce")(features(student), None, batch)
    agree(terms["ce"], [student], lambda z: labels_by_hand(z, batch.labels.numpy()))


@pytest.mark.parametrize("weights", [(), (0.5, 2.0, 0.25)])
def test_exits_ce_sums_over_the_exits(weights: tuple[float, ...]) -> None:
    labels = task_data(6).train.labels
    exits = tuple(leaf(6, 4, seed=seed, scale=3) for seed in range(3))

    def formula(*z: Array) -> Any:
        each = [labels_by_hand(one, labels.numpy()) for one in z]
        return sum(w * one for w, one in zip(weights or (1, 1, 1), each, strict=True))

    agree(exits_cross_entropy(exits, labels, weights), [*exits], formula)


def test_mskd_shows_every_exit_the_teachers_output() -> None:
    exits, teacher = tuple(logits(seed=seed) for seed in range(3)), logits(seed=9)
    expected = sum(by_hand(z, teacher, 4.0) for z in exits)
    assert mskd_loss(exits, teacher, 4.0).item() == pytest.approx(expected, rel=1e-5)


def test_oto_with_equal_exits_pairs_them_one_to_one() -> None:
    exits = tuple(logits(seed=seed) for seed in range(3))
    assert abs(oto_loss(exits, exits, 4.0).item()) < 1e-5
    assert oto_loss(exits, exits[::-1], 4.0).item() > 0.1


@pytest.mark.parametrize("name", METHODS)
def test_a_method_does_not_change_what_it_is_given(name: str) -> None:
    student, teacher = ([logits(6, 4, s + k) for s in range(3)] for k in (0, 5))
    before = copy.deepcopy((student, teacher))
    made(name)(
        features(student[-1], student), features(teacher[-1], teacher), whole_batch(task_data(6))
    )
    assert all(
        torch.equal(a, b) for a, b in zip(student + teacher, before[0] + before[1], strict=True)
    )


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_targets_are_torchdistills(temperature: float) -> None:
    student, teacher = leaf(6, 5, seed=1, scale=3), draw(6, 5, seed=2, scale=3)
    # which leaves out T² where it is given no labels
    oracle = KDLoss("logits", "output", "logits", "output", temperature, alpha=0.0)
    expected = oracle({"logits": {"output": student}}, {"logits": {"output": teacher}})
    found = soft_target_loss(student, teacher, temperature)
    same(found, temperature**2 * expected, [student])
