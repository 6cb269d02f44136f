"""Methods on exits: literal transcriptions of their losses, plain KD where there is one exit, and
which exit of the teacher teaches which of the student, in networks that run to any depth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from helpers import features, make, network, shown, task_data, whole_batch
from oracles import Array, agree, draw, kl, leaf, softmax
from torch import Tensor

from stagewise.catalogue import method_needs, methods
from stagewise.errors import UserError
from stagewise.methods._exits import by_place
from stagewise.methods.base import DistillationMethod
from stagewise.models.features import Features

IMAGES, CLASSES, EXITS = 5, 4, 3
TAUGHT = sorted(n for n in methods() if method_needs(n).exits and method_needs(n).teacher)


Loss = Callable[[list[Array], list[Array], Array], Any]
"""Of the student's exits, the teacher's exits, and the labels."""


def cross_entropy(z: Array, labels: Array) -> Any:
    return -np.log(softmax(z)[np.arange(len(z)), labels]).mean()


def student_and_teacher() -> tuple[list[Tensor], list[Tensor]]:
    return (
        [leaf(IMAGES, CLASSES, seed=k, scale=2) for k in range(EXITS)],
        [draw(IMAGES, CLASSES, seed=9 + k, scale=2) for k in range(EXITS)],
    )


def with_exits(name: str, **options: Any) -> DistillationMethod:
    """A method for networks of three exits."""
    student, teacher = (network(exits="sepatt", seed=seed) for seed in (0, 1))
    return make(name, student, teacher, **options)


# -- losses --------------------------------------------------------------------------------------


def check(name: str, terms: dict[str, float], function: Loss, **options: Any) -> None:
    """The weighted terms of a method are a NumPy function of the student's exits, the teacher's
    exits and the labels."""
    own, theirs = student_and_teacher()
    batch = whole_batch(task_data(IMAGES))
    found = with_exits(name, **options)(features(own[-1], own), features(theirs[-1], theirs), batch)
    loss = torch.stack([weight * found[term] for term, weight in terms.items()]).sum()
    labels, taught = batch.labels.numpy(), [each.numpy() for each in theirs]
    agree(loss, own, lambda *z: function([*z], taught, labels))


@pytest.mark.parametrize("name", ["mskd", "oto"])
def test_every_exit_is_weighed_by_its_own_number(name: str) -> None:
    weights = (0.5, 2.0, 0.25)

    def loss(z: list[Array], t: list[Array], labels: Array) -> Any:
        taught = t if name == "oto" else [t[-1]] * len(z)
        pairs = zip(taught, z, strict=True)
        each = [0.1 * cross_entropy(one, labels) + 0.9 * kl(own, one, 3.0) for own, one in pairs]
        return sum(w * one for w, one in zip(weights, each, strict=True))

    check(name, {"ce": 0.1, "kd": 0.9}, loss, exit_weights=weights, temperature=3.0)


def test_the_ensemble_teaches_the_mean_of_its_exits() -> None:
    def loss(z: list[Array], t: list[Array], labels: Array) -> Any:
        mean = sum(t) / len(t)
        return sum(kl(mean, one, 4.0) + cross_entropy(one, labels) for one in z)

    check("mskd_ensemble", {"ce": 1.0, "kd": 1.0}, loss)


def test_oto_teaches_each_exit_by_its_own() -> None:
    def loss(z: list[Array], t: list[Array], labels: Array) -> Any:
        return sum(kl(a, b, 4.0) for a, b in zip(t, z, strict=True))

    check("oto", {"kd": 1.0}, loss)


def test_kd_on_the_last_exit_leaves_the_others_to_the_labels() -> None:
    def loss(z: list[Array], t: list[Array], labels: Array) -> Any:
        *early, last = z
        others = sum(cross_entropy(one, labels) for one in early)
        return 0.1 * cross_entropy(last, labels) + 0.9 * kl(t[-1], last, 4.0) + 2.0 * others

    check("kd_last_exit", {"ce": 0.1, "kd": 0.9, "early": 2.0}, loss)


@pytest.mark.parametrize("name", ["tskd", "self_distillation"])
def test_the_deepest_exit_teaches_the_others_and_learns_nothing_from_them(name: str) -> None:
    """The deepest exit's logits are these numbers, whatever the others are: the oracle holds
    them."""
    own, theirs = student_and_teacher()
    vectors = [leaf(IMAGES, 6, seed=30 + k) for k in range(EXITS)]
    fixed, still = own[-1].detach().numpy(), vectors[-1].detach().numpy()
    given = Features(own[-1], {}, vectors[-1], tuple(own), tuple(vectors))
    terms = with_exits(name)(given, features(theirs[-1], theirs), whole_batch(task_data(IMAGES)))
    loss = 0.3 * terms["self"] + 0.7 * terms["features"]

    def by_hand(*arrays: Array) -> Array:
        z, f = arrays[: EXITS - 1], arrays[EXITS - 1 :]
        found: Array = 0.3 * sum(kl(fixed, one, 4.0) for one in z) + 0.7 * sum(
            ((one - still) ** 2).mean() for one in f
        )
        return found

    agree(loss, [*own[:-1], *vectors[:-1]], by_hand)
    last = torch.autograd.grad(loss, [own[-1], vectors[-1]], allow_unused=True)
    assert last == (None, None)


@pytest.mark.parametrize("name", TAUGHT)
def test_with_one_exit_it_is_plain_kd(name: str) -> None:
    """Bit for bit: terms and gradient."""
    batch = whole_batch(task_data(6))
    own, plain = (draw(6, 4, seed=1).float().requires_grad_(True) for _ in range(2))
    teacher = draw(6, 4, seed=2).float()
    method, answer = make(name, network(), network()), features(teacher, [teacher])
    found = method(features(own, [own]), answer, batch)
    expected = make("kd")(features(plain), answer, batch)
    for terms in (found, expected):
        (0.1 * terms["ce"] + 0.9 * terms["kd"]).backward()
    assert {term: found[term].item() for term in expected} == {
        term: value.item() for term, value in expected.items()
    }
    assert {value.item() for term, value in found.items() if term not in expected} <= {0.0}
    assert own.grad is not None
    assert plain.grad is not None
    assert torch.equal(own.grad, plain.grad)


# -- exits of which not all run ------------------------------------------------------------------


@pytest.mark.parametrize("head", ["sepatt", "linear"])
@pytest.mark.parametrize("family", ["resnet8", "vgg8", "wrn16-2", "mobilenetv2-crd"])
def test_exits_answer_the_same_alone(family: str, head: str) -> None:
    student = network(family, exits=head, image_size=32).eval()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        whole = student(images)
        count = len(whole.exits)
        assert whole.places == tuple(range(1, count + 1))
        for number in range(1, count + 1):
            depth = number if number < count else None
            student.run_to(depth, (f"exits.{number}",))
            alone = student(images)
            assert alone.places == (number,)
            assert torch.equal(alone.logits, whole.exits[number - 1])
            assert torch.equal(alone.exits[0], whole.exits[number - 1])
            assert torch.equal(alone.exit_vectors[0], whole.exit_vectors[number - 1])
    student.run_to(None)
    assert student(images).places == whole.places


def test_vectors_are_what_the_exits_layers_get() -> None:
    student = network(exits="sepatt").eval()
    with torch.no_grad():
        found = student(torch.randn(2, 1, 8, 8))
        layers = student.classifiers()
        for layer, vector, logits in zip(layers, found.exit_vectors, found.exits, strict=True):
            assert torch.allclose(layer(vector), logits, atol=1e-6)


def test_paths_lead_to_each_exit() -> None:
    assert network("mobilenetv2-crd", exits="linear", image_size=32).paths() == (
        ("stem", "stage1", "exits.1"),
        ("stem", "stage1", "stage2", "exits.2"),
        ("stem", "stage1", "stage2", "stage3", "exits.3"),
        ("stem", "stage1", "stage2", "stage3", "stage4", "neck", "classifier"),
    )
    assert network().paths() == (("stem", "stage1", "stage2", "stage3", "classifier"),)


# -- pairs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "theirs", "stages", "partners"),
    [
        ((1, 2, 3), (1, 2, 3), 3, (1, 2, 3)),
        ((1, 2, 3, 4), (1, 2, 3), 4, (1, 2, 3, 3)),
        ((1, 2, 3), (1, 2, 3, 4), 3, (1, 2, 4)),
        ((1, 2), (1, 2, 3, 4), 4, (1, 2)),  # cut behind its second stage
        ((1,), (1, 2, 3), 1, (3,)),
        ((2, 4), (1, 2, 3, 4), 4, (2, 4)),
        ((1, 3, 4), (2, 4), 4, (2, 4, 4)),
    ],
)
def test_exits_are_paired_by_their_stage_and_the_last_with_the_last(
    own: tuple[int, ...], theirs: tuple[int, ...], stages: int, partners: tuple[int, ...]
) -> None:
    assert by_place(own, theirs, stages) == partners


FOUR, THREE = "vgg8", "resnet8"


@pytest.mark.parametrize(
    ("own", "theirs", "options", "partners"),
    [
        (FOUR, THREE, {}, (1, 2, 3, 3)),
        (THREE, FOUR, {}, (1, 2, 4)),
        (THREE, THREE, {}, (1, 2, 3)),
        (THREE, FOUR, {"partners": [2, 3, 4]}, (2, 3, 4)),
    ],
)
def test_a_network_cut_anywhere_learns_from_the_same_exits(
    own: str, theirs: str, options: dict[str, list[int]], partners: tuple[int, ...]
) -> None:
    student, teacher = (network(name, exits="sepatt", image_size=16) for name in (own, theirs))
    method = make("oto", student, teacher, task_data(size=16), **options)
    assert method.pairs == tuple(
        (f"exit {number}", f"exit {partner}") for number, partner in enumerate(partners, 1)
    )
    batch = whole_batch(task_data(8, size=16))
    student.eval()
    for depth in range(1, len(partners) + 1):
        student.run_to(depth if depth < len(partners) else None)
        seen, taught, _ = shown(method, batch, student, teacher)
        assert taught is not None
        assert len(seen.exits) == depth
        expected = sum(
            kl(taught.exits[partner - 1].double().numpy(), z.detach().double().numpy(), 4.0)
            for z, partner in zip(seen.exits, partners, strict=False)
        )
        assert method(seen, taught, batch)["kd"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("partners", [[1, 2], [1, 2, 4], [0, 1, 2], [1, 2, "3"], [1, 2, 3.0]])
def test_partners_that_are_none_are_named(partners: list[int]) -> None:
    with pytest.raises(UserError, match=r"^partners: \[.*; give 3 of the teacher's$"):
        with_exits("oto", partners=partners)


@pytest.mark.parametrize("name", ["mskd", "oto"])
@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -1.0, 1.0], [0, 0, 0], [1, 1, "1"]])
def test_weights_that_are_none_are_named(weights: list[float], name: str) -> None:
    with pytest.raises(UserError, match=r"^exit_weights: \[.*; give|^exit_weights: \[.*: give"):
        with_exits(name, exit_weights=weights)


@pytest.mark.parametrize("name", ["tskd", "self_distillation"])
def test_features_of_other_widths_are_named(name: str) -> None:
    with pytest.raises(UserError, match=r"^multi_exit\.head: .* 4, 8, 16 channels.*like sepatt"):
        make(name, network(exits="linear"), network())


def test_an_exit_without_weight_learns_nothing() -> None:
    student = network(exits="sepatt")
    method = make("mskd", student, network(), exit_weights=[0.0, 1.0, 1.0])
    terms = method(*shown(method, whole_batch(task_data(8)), student, network()))
    torch.stack(list(terms.values())).sum().backward()
    named = student.named_parameters()
    learnt = {name: p.grad for name, p in named if name.startswith("exits.")}
    for name, gradient in learnt.items():
        assert gradient is not None
        assert (gradient.abs().max() == 0) == name.startswith("exits.0.")
