"""SSKD against torchdistill's ``SSKDLoss``, a port of the authors' code, and that code in NumPy.

torchdistill has the rotations image by image, as the authors do; ours stand copy by copy. It leaves
to its sort which of equal ranks are kept, so the two are compared where none or all wrong ones are.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import features, make, network, shown, task_data, whole_batch
from oracles import Array, agree, draw, leaf, rectified, softmax
from torch import Tensor
from torchdistill.losses.mid_level import SSKDLoss

from stagewise.methods.contrast_head import similarities
from stagewise.methods.sskd import best_ranked, similarity_loss

SIZE = 16


def image_by_image(rows: Tensor) -> Tensor:
    """(4B, …) copy by copy → image by image."""
    return rows.unflatten(0, (4, -1)).transpose(0, 1).flatten(0, 1)


def cosines(embedded: Array) -> Array:
    """(3B, B) between rotated and upright images, one pair at a time."""
    upright, turned = np.split(embedded, [len(embedded) // 4])
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in upright] for a in turned])


def kept_by_hand(teacher: Array, share: float) -> list[int]:
    """Rows in the order of their own image's rank, cut off where the code does; of equal ranks
    first what is less behind."""
    count = teacher.shape[1]
    ranks = [int(np.argsort(-row).tolist().index(n % count)) for n, row in enumerate(teacher)]
    behind = [row.max() - row[n % count] for n, row in enumerate(teacher)]
    right = ranks.count(0)
    order = sorted(range(len(ranks)), key=lambda n: (ranks[n], behind[n]))
    return order[: right + int((len(ranks) - right) * share)]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75, 1.0])
def test_similarities_are_the_authors(share: float) -> None:
    student, teacher = leaf(20, 6, seed=1), draw(20, 6, seed=2)
    theirs = cosines(teacher.numpy())
    kept = kept_by_hand(theirs, share)
    assert 0 < len(kept) <= 15

    def formula(embedded: Array) -> Any:
        p, q = softmax(theirs[kept] / 0.5), softmax(cosines(embedded)[kept] / 0.5)
        return 0.25 * (p * np.log(p / q)).sum() / len(kept)

    agree(
        similarity_loss(similarities(student), similarities(teacher), 0.5, share),
        [student],
        formula,
    )


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_sskd_is_torchdistills(share: float) -> None:
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("sskd", student, teacher, data, wrong_kept=share)
    part = method.teacher_part
    assert part is not None
    for module in (student, teacher, method, part):
        module.double()
    batch = whole_batch(data)
    batch = replace(batch, images=batch.images.double())
    of_student, of_teacher, seen = shown(method, batch, student, teacher)
    assert of_teacher is not None
    terms = method(of_student, of_teacher, seen)
    weights = {"ce": 0.1, "kd": 0.9, "similarity": 10.0, "rotated": 2.7}
    oracle = SSKDLoss(
        "z", "z", "h", "h", 4.0, 0.5, 4.0, share, 1.0, loss_weights=[*weights.values()]
    )
    given = [
        {
            "z": {"output": image_by_image(features.logits)},
            "h": {"output": image_by_image(owner.get_submodule("projection")(features.pooled))},
        }
        for features, owner in ((of_student, method), (of_teacher, part))
    ]
    expected = oracle(*given, data.train.labels)
    found = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-10)
    leaves = [*student.parameters(), *method.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found, leaves, retain_graph=True),
        torch.autograd.grad(expected, leaves),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-12)


def test_the_teachers_head_is_taught_to_find_the_own_image() -> None:
    teacher, data = network(image_size=SIZE), task_data(4, size=SIZE)
    part = make("contrast_head", teacher, None, data).double()
    vectors = leaf(16, teacher.eval()(whole_batch(data).images).pooled.shape[1])
    loss = part(features(vectors), None, part.views(whole_batch(data)))["ce"]

    def formula(pooled: Array, *layers: Array) -> Any:
        w_1, b_1, w_2, b_2 = layers
        embedded = rectified(pooled @ w_1.T + b_1) @ w_2.T + b_2
        rows = np.arange(12)
        return -np.log(softmax(cosines(embedded))[rows, rows % 4]).mean()

    agree(loss, [vectors, *part.get_submodule("projection").parameters()], formula)


def test_what_the_teacher_places_worst_is_left_out() -> None:
    """Eight of twelve rows are right; of the four wrong ones the worst ranked is dropped, then the
    other that is further behind than its equals."""
    teacher = torch.eye(4).repeat(3, 1)
    for row, rank in {1: 1, 4: 3, 6: 1, 11: 2}.items():
        others = [column for column in range(4) if column != row % 4][:rank]
        teacher[row, others] = 2.0
    kept = best_ranked(teacher, 0.75)
    assert kept.tolist() == [row != 4 for row in range(12)]
    teacher[11, [0, 1]] = 0.0  # now the others are of rank 1
    teacher[11, 0], teacher[6, 0] = 2.0, 2.5
    kept = best_ranked(teacher, 0.5)
    assert kept.tolist() == [row not in (4, 6) for row in range(12)]
    assert best_ranked(teacher, 0.0).sum() == 8
    assert best_ranked(teacher, 1.0).all()


def test_nothing_kept_is_nothing_learnt() -> None:
    teacher = (1 - torch.eye(2)).repeat(3, 1)
    student = leaf(6, 2)
    loss = similarity_loss(student, teacher.double(), 0.5, 0.0)
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_a_batch_seen_thrice_has_three_images_that_are_the_own() -> None:
    """So the head's chance to find it is a third, and shares of images are thirds; what the teacher
    ranks stays in order, and means over images stay."""
    student, teacher = network(image_size=SIZE), network("vgg8", seed=1, image_size=SIZE)
    data = task_data(8, size=SIZE)
    method = make("sskd", student, teacher, data, wrong_kept=1.0)
    part = method.teacher_part
    assert part is not None
    for module in (student, teacher, method, part):
        module.double().eval()
    batch = whole_batch(data)
    once = replace(batch, images=batch.images.double())
    fields = ("images", "labels", "index", "view", "target")
    thrice = replace(once, **{name: torch.cat([getattr(once, name)] * 3) for name in fields})
    found, expected = (
        {
            **method(*shown(method, seen, student, teacher)),
            "head": part(*shown(part, seen, teacher, None))["ce"],
        }
        for seen in (thrice, once)
    )
    expected["head"] = expected["head"] + np.log(3)
    assert found.keys() == expected.keys()
    for term, value in expected.items():
        assert found[term].item() == pytest.approx(value.item(), rel=1e-10)
