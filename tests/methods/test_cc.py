"""CC against the CRD benchmark's loss, with both embeddings, image by image in NumPy.

torchdistill's ``CCKDLoss`` has the paper's kernel matrices, which is another loss.
"""

from typing import Any

import torch
from helpers import features, make, network, task_data, whole_batch
from oracles import Array, agree, draw, leaf
from torch import nn

from stagewise.methods.cc import Method as CC
from stagewise.models.features import Features


def cc_by_hand(student: Array, teacher: Array) -> Any:
    """Of embeddings (B, D): |e_s - e_t| of an image times that of the next one."""
    total = 0
    for i in range(len(student) - 1):
        for d in range(student.shape[1]):
            one, following = student[i, d] - teacher[i, d], student[i + 1, d] - teacher[i + 1, d]
            total = total + one * (1 if one.real > 0 else -1) * following * (
                1 if following.real > 0 else -1
            )
    return total / (len(student) - 1)


def test_cc_is_the_benchmarks() -> None:
    data = task_data(5)
    method = make("cc", network(), network("vgg8", seed=1), data, feat_dim=3)
    assert isinstance(method, CC)
    method.double()
    student, teacher = (
        leaf(5, layer.in_features, seed=seed)
        for seed, layer in enumerate((method.embed_student, method.embed_teacher))
    )
    logits = draw(5, 4)
    terms = method(Features(logits, {}, student), Features(logits, {}, teacher), whole_batch(data))

    def formula(*given: Array) -> Any:
        s, t, w_s, b_s, w_t, b_t = given
        return cc_by_hand(s @ w_s.T + b_s, t @ w_t.T + b_t)

    layers: list[nn.Linear] = [method.embed_student, method.embed_teacher]
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
    agree(terms["cc"], [student, teacher, *parameters], formula)


def test_equal_vectors_in_equal_embeddings_are_congruent() -> None:
    """Nothing is to be learnt then; with another embedding there is."""
    student, teacher = network(), network(seed=1)
    method = make("cc", student, teacher, task_data(5), feat_dim=3)
    assert isinstance(method, CC)
    method.double()
    vectors = leaf(5, method.embed_student.in_features)
    given = features(vectors), features(vectors.detach()), whole_batch(task_data(5))
    assert method(*given)["cc"].item() > 0
    method.embed_teacher.load_state_dict(method.embed_student.state_dict())
    loss = method(*given)["cc"]
    assert loss.item() == 0
    for slope in torch.autograd.grad(loss, [vectors, *method.embed_student.parameters()]):
        assert not slope.any()
