"""CRD against torchdistill's ``CRDLoss``, a port of the authors' code, on the pairs that ours drew.

It is told to leave out the 1e-7 that the authors' code adds to a denominator.
"""

import pytest
import torch
from helpers import make, network, task_data
from oracles import draw, leaf, same
from torch import nn
from torchdistill.losses.mid_level import CRDLoss

from stagewise.methods._memory import Negatives
from stagewise.methods.crd import Method as CRD
from stagewise.models.features import Batch, Features


def crd_batch(data_size: int, count: int, step: int) -> Batch:
    labels = task_data(data_size).train.labels
    index = torch.randperm(data_size, generator=torch.Generator().manual_seed(step))[:count]
    none = torch.zeros_like(index)
    return Batch(torch.zeros(count), labels[index], index, none, labels[index], torch.tensor(step))


def vectors(channels: int, count: int, seed: int) -> Features:
    pooled = leaf(count, channels, seed=seed)
    return Features(draw(count, 4, seed=seed), {}, pooled)


def test_crd_is_the_authors_step_after_step() -> None:
    images, count, negatives, width = 32, 6, 20, 8
    student, teacher = network("resnet8"), network("vgg8", seed=1)
    method = make("crd", student, teacher, task_data(images), feat_dim=width, negatives=negatives)
    assert isinstance(method, CRD)
    method.double()
    oracle = CRDLoss("norm", "pairs", "norm", width, images, negatives, images, eps=0.0).double()
    oracle.params = torch.tensor([negatives, 0.07, -1, -1, 0.5], dtype=torch.float64)
    oracle.memory_v1, oracle.memory_v2 = (
        method.student_bank.rows.clone(),
        method.teacher_bank.rows.clone(),
    )
    of_student, of_teacher = (layer.in_features for layer in embeddings(method))
    for step in range(3):
        batch = crd_batch(images, count, step)
        s, t = vectors(of_student, count, 2 * step), vectors(of_teacher, count, 2 * step + 1)
        pairs = torch.cat([batch.index[:, None], method.negatives(batch, negatives)], 1)
        embedded = [
            layer(z.pooled) for layer, z in ((method.embed_student, s), (method.embed_teacher, t))
        ]
        units = [z / z.pow(2).sum(1, keepdim=True).sqrt() for z in embedded]
        expected = oracle(
            {
                "norm": {"output": units[0]},
                "pairs": {"input": {"pos_idx": batch.index, "contrast_idx": pairs}},
            },
            {"norm": {"output": units[1]}},
        ).squeeze()
        found = method(s, t, batch)["crd"]
        same(found, expected, [s.pooled, t.pooled, *method.parameters()])
        with torch.no_grad():
            method.remember(s, t, batch)
        torch.testing.assert_close(
            method.student_bank.rows, oracle.memory_v1, rtol=1e-12, atol=1e-14
        )
        torch.testing.assert_close(
            method.teacher_bank.rows, oracle.memory_v2, rtol=1e-12, atol=1e-14
        )
        torch.testing.assert_close(method.log_z.exp(), oracle.params[2:4], rtol=1e-10, atol=0)


# -- memory and negatives ------------------------------------------------------------------------

LABELS = torch.tensor([2, 0, 1, 2, 2, 0, 1, 2, 1, 2])
"""Of uneven classes: two, three and five images."""


def asked(index: list[int], step: int = 0) -> Batch:
    number = torch.tensor(index)
    labels = LABELS[number]
    return Batch(torch.zeros(len(index)), labels, number, number, labels, torch.tensor(step))


def test_every_image_of_another_class_is_as_likely() -> None:
    negatives = Negatives(LABELS, 3, seed=1)
    index = list(range(10))
    drawn = negatives(asked(index), 20_000)
    assert drawn.shape == (10, 20_000)
    for number, row in zip(index, drawn, strict=True):
        count = row.bincount(minlength=10)
        others = LABELS[number] != LABELS
        assert not count[~others].any()
        expected = 20_000 / others.sum()
        chi_squared = ((count[others] - expected) ** 2 / expected).sum().item()
        assert chi_squared < 28  # 99.9 % of draws, at up to 9 degrees of freedom


def test_what_is_drawn_depends_on_seed_step_and_image_alone() -> None:
    negatives = Negatives(LABELS, 3, seed=1)
    whole, part = negatives(asked([3, 8, 0]), 50), negatives(asked([0, 3]), 50)
    assert torch.equal(whole[[2, 0]], part)
    assert not torch.equal(negatives(asked([0, 3], step=1), 50), part)
    assert not torch.equal(Negatives(LABELS, 3, seed=2)(asked([0, 3]), 50), part)


@pytest.mark.parametrize("images", [3, 49_500, 65_537, 1_281_166, 2**24 - 1])
def test_the_largest_share_stays_below_the_number_of_images(images: int) -> None:
    largest = torch.tensor([1 - 2**-24])
    assert (largest * torch.tensor([images])).long().item() == images - 1


def test_banks_follow_the_batchs_images_and_z_the_first_batch() -> None:
    student, teacher = network(), network("vgg8", seed=1)
    method = make("crd", student, teacher, task_data(32), negatives=20)
    assert isinstance(method, CRD)
    first = crd_batch(32, 6, 0)
    given = [vectors(layer.in_features, 6, seed=n) for n, layer in enumerate(embeddings(method))]
    s, t = (z._replace(pooled=z.pooled.float()) for z in given)
    before = method.student_bank.rows.clone()
    with torch.no_grad():
        method.remember(s, t, first)
    moved = (method.student_bank.rows != before).any(1).nonzero().flatten()
    assert moved.tolist() == sorted(first.index.tolist())
    assert torch.allclose(method.teacher_bank.rows[first.index].norm(dim=1), torch.ones(6))
    fixed = method.log_z.clone()
    again = make("crd", student, teacher, task_data(32), negatives=20)
    again.load_state_dict(method.state_dict())
    for other in (method, again):  # a killed run's goes on with the Z that it had
        with torch.no_grad():
            other.remember(t._replace(pooled=s.pooled), t, crd_batch(32, 6, 1))
        assert torch.equal(other.get_buffer("log_z"), fixed)


def embeddings(method: CRD) -> tuple[nn.Linear, nn.Linear]:
    return method.embed_student, method.embed_teacher


def test_banks_start_in_the_authors_range() -> None:
    method = make("crd", network(), network("vgg8"), task_data(32))
    assert isinstance(method, CRD)
    bound = (3 / 128) ** 0.5
    for bank in (method.student_bank.rows, method.teacher_bank.rows):
        assert bank.shape == (32, 128)
        assert bank.abs().max() <= bound
        assert bank.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
