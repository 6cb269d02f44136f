"""DKD against the equations of its paper (arXiv 2203.08679, section 3), from probabilities."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import features, make, task_data, whole_batch
from hypothesis import given, settings
from hypothesis.strategies import floats, integers
from oracles import Array, agree, draw, leaf, same, softmax

from stagewise.methods.base import label_loss, soft_target_loss, warmth
from stagewise.methods.dkd import dkd_terms


def dkd_by_hand(student: Array, teacher: Array, labels: Array, temperature: float) -> list[Any]:
    """TCKD and NCKD, image by image: b = (p_target, Σ of the others), p̂_i = p_i / Σ of the
    others."""
    tckd = nckd = 0
    for z_s, z_t, label in zip(student, teacher, labels, strict=True):
        p_s, p_t = softmax(z_s / temperature), softmax(z_t / temperature)
        others = np.arange(len(z_s)) != label
        b_s = np.array([p_s[label], p_s[others].sum()])
        b_t = np.array([p_t[label], p_t[others].sum()])
        hat_s, hat_t = p_s[others] / b_s[1], p_t[others] / b_t[1]
        tckd = tckd + (b_t * np.log(b_t / b_s)).sum()
        nckd = nckd + (hat_t * np.log(hat_t / hat_s)).sum()
    return [temperature**2 * term / len(labels) for term in (tckd, nckd)]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("term", [0, 1])
def test_dkd_is_the_papers(temperature: float, term: int) -> None:
    student, teacher = leaf(6, 5, seed=1, scale=3), draw(6, 5, seed=2, scale=3)
    labels = torch.tensor([0, 4, 2, 2, 1, 3])
    loss = dkd_terms(student, teacher, labels, temperature)[term]
    agree(
        loss,
        [student],
        lambda z: dkd_by_hand(z, teacher.numpy(), labels.numpy(), temperature)[term],
    )


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    seed=integers(0, 10_000),
    classes=integers(2, 100),
    scale=floats(0.1, 20),
    temperature=floats(0.5, 20),
)
def test_dkd_adds_up_to_kd(seed: int, classes: int, scale: float, temperature: float) -> None:
    """Image by image: TCKD + (1 - p of the label) NCKD, p the teacher's at this temperature."""
    z_s, z_t = (draw(1, classes, seed=seed + k, scale=scale) for k in (0, 1))
    label = torch.tensor([seed % classes])
    tckd, nckd = dkd_terms(z_s, z_t, label, temperature)
    others = (z_t / temperature).softmax(1)[0, torch.arange(classes) != label].sum()
    expected = soft_target_loss(z_s, z_t, temperature).item()
    assert (tckd + others * nckd).item() == pytest.approx(expected, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("steps", [7, 391, 20_019])
def test_dkd_warms_up_epoch_by_epoch(steps: int) -> None:
    done = torch.arange(25) * steps  # the first step of each epoch, as the training step has it
    first, last = done / steps, (done + steps - 1) / steps
    expected = [min((epoch + 1) / 20, 1.0) for epoch in range(25)]
    for progress in (first, last):
        assert [warmth(p, 20).item() for p in progress] == pytest.approx(expected)
    assert warmth(torch.tensor(0.0), 0).item() == 1


def test_dkds_terms_are_scaled_by_the_warm_up() -> None:
    method, student, teacher = make("dkd"), draw(8, 4, seed=1), draw(8, 4, seed=2)
    batch = whole_batch(task_data(8))
    warm = [
        method(features(student), features(teacher), replace(batch, progress=torch.tensor(epochs)))
        for epochs in (4.7, 300.0)
    ]
    assert warm[0]["ce"] == warm[1]["ce"]
    for term in ("tckd", "nckd"):
        assert warm[0][term].item() == pytest.approx(warm[1][term].item() / 4, rel=1e-6)


def standardised(logits: Array) -> Array:
    """arXiv 2403.01427, section 4, with the authors' unbiased deviation."""
    centred = logits - logits.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1, keepdims=True) / (logits.shape[1] - 1))
    found: Array = centred / (spread + 1e-7)
    return found


@pytest.mark.parametrize("number", [0, 1])
def test_dkd_with_standardised_logits_is_the_papers(number: int) -> None:
    student, teacher = leaf(8, 4, seed=1, scale=3), draw(8, 4, seed=2, scale=3)
    batch = replace(whole_batch(task_data(8)), progress=torch.tensor(300.0))
    labels, z_t = batch.labels.numpy(), standardised(teacher.numpy())
    terms = make("dkd_ls")(features(student), features(teacher), batch)

    def formula(z: Array) -> Any:
        return dkd_by_hand(standardised(z), z_t, labels, 2.0)[number]

    agree(terms[("tckd", "nckd")[number]], [student], formula)
    same(terms["ce"], label_loss(student, batch.labels), [student])
