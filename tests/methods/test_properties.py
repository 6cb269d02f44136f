"""What the losses' formulas promise of all numbers: where they are 0, and what changes nothing.

One test a property, over the methods that have it; hypothesis draws networks, images and sizes. In
``test_contract.py`` is what holds for every method alike.
"""

from dataclasses import replace

import pytest
import torch
from helpers import cast, make, network, shown, task_data, whole_batch
from hypothesis import example, given, settings
from hypothesis.strategies import floats, integers, sampled_from
from torch import Tensor

from stagewise.catalogue import method_needs, method_options, methods
from stagewise.methods.base import DistillationMethod, Losses
from stagewise.models.features import Batch, Features

IMAGES, SIZE = 6, 16
EVERY = sorted(methods())
SEEDS = integers(0, 10_000)
few = settings(max_examples=4, deadline=None, derandomize=True)
"""A draw takes two networks, so there are few; the same ones in every run of the tests."""
FAST = {"crd": {"negatives": 32}}
SOFTENING = {"temperature": 1, "similarity_temperature": 1, "tau": 1, "gamma": -1}
"""Options that soften, and with which power of a temperature they do."""

NOTHING_TO_LEARN = {
    "at": ("at",),
    "dist": ("inter", "intra"),
    "dkd": ("tckd", "nckd"),
    "fsp": ("flow",),
    "kd": ("kd",),
    "kd_last_exit": ("kd",),
    "mskd": ("kd",),
    "mskd_ensemble": ("kd",),
    "nst": ("nst",),
    "oto": ("kd",),
    "pkt": ("pkt",),
    "rkd": ("distance", "angle"),
    "self_distillation": ("self",),
    "sp": ("sp",),
    "tskd": ("kd", "self"),
}
"""Terms that are 0, and least, where the student's features are the teacher's. Not so what has
layers between them (``cc`` is 0 where its embeddings are equal), a Gaussian's likelihood (``vid``)
or no temperature on the student (``wttm``: 0 where its logits are γ times the teacher's)."""

ONE_ANSWER = {"mskd", "mskd_ensemble", "self_distillation", "tskd"}
"""Those in which every exit learns the same."""

SCALE_FREE = {
    "at": ("at",),
    "nst": ("nst",),
    "pkt": ("pkt",),
    "rkd": ("distance", "angle"),
    "sp": ("sp",),
}
"""Terms to which only the directions, or the ratios of distances, of features mean something."""

ORDERED = {"cc": "cc", "kd_shuffled": "kd"}
"""Terms in which an image meets the next one of the batch."""


def built(
    name: str, seed: int, dtype: torch.dtype = torch.float64, **options: float
) -> tuple[DistillationMethod, Features, Features | None, Batch]:
    """A method in evaluation mode, features of both networks and the batch that it made."""
    needs = method_needs(name)
    data = task_data(IMAGES, size=SIZE, seed=seed)
    student = network(seed=seed, exits="sepatt" if needs.exits else None, image_size=SIZE)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = network(seed=seed + 9, exits=exits, image_size=SIZE) if needs.teacher else None
    method = make(name, student, teacher, data, **{**FAST.get(name, {}), **options})
    for module in (method, student, teacher, method.teacher_part):
        if module is not None:
            module.to(dtype).eval()
    batch = whole_batch(data)
    with torch.no_grad():
        given = shown(method, replace(batch, images=batch.images.to(dtype)), student, teacher)
    return method, *given


def rescaled(features: Features, by: float) -> Features:
    """Maps and pooled vectors, but not what classifiers make of them, times a factor."""
    taps = {name: by * tap for name, tap in features.taps.items()}
    return features._replace(taps=taps, pooled=by * features.pooled)


def shifted(features: Features, by: Tensor) -> Features:
    """All logits of an image, (B, classes), more by its own number, (B, 1)."""
    exits = tuple(logits + by for logits in features.exits)
    return features._replace(logits=features.logits + by, exits=exits)


def leaves(features: Features) -> tuple[Features, list[Tensor]]:
    """The same numbers, to be differentiated by, and a list of them."""
    inputs: list[Tensor] = []

    def leaf(values: Tensor) -> Tensor:
        inputs.append(values.clone().requires_grad_(True))
        return inputs[-1]

    taps = {name: leaf(tap) for name, tap in features.taps.items()}
    exits = tuple(leaf(logits) for logits in features.exits)
    logits = exits[-1] if exits else leaf(features.logits)
    vectors = tuple(leaf(each) for each in features.exit_vectors)
    return Features(logits, taps, leaf(features.pooled), exits, vectors), inputs


def picked(batch: Batch, order: Tensor) -> Batch:
    """The images of a batch in another order."""
    fields = ("images", "labels", "index", "view", "target")
    return replace(batch, **{field: getattr(batch, field)[order] for field in fields})


def numbers(terms: Losses) -> dict[str, float]:
    return {name: term.item() for name, term in terms.items()}


def near(terms: Losses) -> dict[str, object]:
    """What numbers must be to equal these."""
    return {n: pytest.approx(v, rel=1e-9, abs=1e-12) for n, v in numbers(terms).items()}


@pytest.mark.parametrize("name", sorted(NOTHING_TO_LEARN))
@few
@given(seed=SEEDS)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(name: str, seed: int) -> None:
    method, student, teacher, batch = built(name, seed)
    usual = numbers(method(student, teacher, batch))
    if name in ONE_ANSWER:
        student = student._replace(exits=(student.logits,) * len(student.exits))
    own, inputs = leaves(student)
    terms = method(own, student, batch)
    values = [terms[term] for term in NOTHING_TO_LEARN[name]]
    for term, value in zip(NOTHING_TO_LEARN[name], values, strict=True):
        assert usual[term] > 0
        assert abs(value.item()) < 1e-9 * usual[term]
    slopes = torch.autograd.grad(torch.stack(values).sum(), inputs, allow_unused=True)
    steepest = [slope.abs().max().item() for slope in slopes if slope is not None]
    assert steepest
    assert max(steepest) < 1e-9


@pytest.mark.parametrize("name", EVERY)
@few
@given(seed=SEEDS)
def test_a_shift_of_an_images_logits_changes_nothing(name: str, seed: int) -> None:
    method, student, teacher, batch = built(name, seed)
    generator = torch.Generator().manual_seed(seed)
    shape = 2, len(student.logits), 1
    one, other = 100 * torch.randn(shape, generator=generator, dtype=torch.float64)
    moved = shifted(student, one), shifted(teacher, other) if teacher else None
    assert numbers(method(*moved, batch)) == near(method(student, teacher, batch))


@pytest.mark.parametrize("name", sorted(SCALE_FREE))
@few
@given(seed=SEEDS, own=floats(0.001, 1000), others=floats(0.001, 1000))
def test_the_scale_of_features_changes_nothing(
    name: str, seed: int, own: float, others: float
) -> None:
    method, student, teacher, batch = built(name, seed)
    assert teacher is not None
    found = numbers(method(rescaled(student, own), rescaled(teacher, others), batch))
    expected = near(method(student, teacher, batch))
    for term in SCALE_FREE[name]:
        assert found[term] == expected[term]


@pytest.mark.parametrize("name", EVERY)
@few
@given(seed=SEEDS)
def test_the_order_of_the_batch_means_something_to_neighbours_alone(name: str, seed: int) -> None:
    method, student, teacher, batch = built(name, seed)
    count = len(batch.labels) // method_needs(name).views
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + 1))
    order = torch.cat([order + count * view for view in range(method_needs(name).views)])

    def moved(features: Features) -> Features:
        taps = {key: tap[order] for key, tap in features.taps.items()}
        exits = tuple(logits[order] for logits in features.exits)
        vectors = tuple(each[order] for each in features.exit_vectors)
        return Features(features.logits[order], taps, features.pooled[order], exits, vectors)

    found = method(moved(student), moved(teacher) if teacher else None, picked(batch, order))
    expected = near(method(student, teacher, batch))
    changed = {term for term, value in numbers(found).items() if value != expected[term]}
    assert changed == ({ORDERED[name]} if name in ORDERED else set())


def check_finite(
    method: DistillationMethod, student: Features, teacher: Features | None, batch: Batch
) -> None:
    """Losses, and their gradients by features and parameters."""
    own, inputs = leaves(student)
    terms = method(own, teacher, batch)
    assert {term.dtype for term in terms.values()} == {torch.float32}
    total = torch.stack(list(terms.values())).sum()
    learnt = [*inputs, *method.parameters()]
    slopes = torch.autograd.grad(total, learnt, allow_unused=True)
    assert all(value.isfinite() for value in terms.values())
    assert all(slope.isfinite().all() for slope in slopes if slope is not None)


TYPES = sampled_from([torch.float32, torch.bfloat16])


@pytest.mark.parametrize("name", EVERY)
@few
@given(seed=SEEDS, own=floats(0, 1e6, width=32), others=floats(0, 1e6, width=32), dtype=TYPES)
@example(seed=0, own=0.0, others=1.0, dtype=torch.float32)
@example(seed=0, own=0.0, others=0.0, dtype=torch.bfloat16)
@example(seed=0, own=1e-10, others=1.0, dtype=torch.bfloat16)
@example(seed=0, own=1e6, others=1e6, dtype=torch.float32)
@example(seed=0, own=1e6, others=1e6, dtype=torch.bfloat16)
def test_features_of_any_size_have_finite_losses_and_gradients(
    name: str, seed: int, own: float, others: float, dtype: torch.dtype
) -> None:
    """Also dead ones, whose lengths are 0. Float16 would hold no more than 65,504."""
    method, student, teacher, batch = built(name, seed, torch.float32)
    theirs = cast(rescaled(teacher, others), dtype) if teacher else None
    check_finite(method, cast(rescaled(student, own), dtype), theirs, batch)


LIVE = sorted(n for n in EVERY if not method_needs(n).exits)
"""All but the methods on exits, whose losses of logits of any margin ``test_losses.py`` has."""
SOFTENED = [
    pytest.param(name, temperature, id=f"{name}-{temperature:g}")
    for name in LIVE
    for temperature in ([0.5, 4.0, 20.0] if {*SOFTENING} & {*method_options(name)} else [1.0])
]


def sure(logits: Tensor, margin: float) -> Tensor:
    """Logits (B, classes) times what makes the largest of an image ``margin`` more than its
    least."""
    return logits * margin / (logits.amax(1) - logits.amin(1))[:, None]


def make_heads_sure(method: DistillationMethod, features: Features, margin: float) -> None:
    """The weights of a method's own classifiers on features, times what makes their answers
    differ by ``margin``."""
    heads = getattr(method, "heads", {})
    for stage, branch in heads.items():
        answers = branch.resume(stage, features.taps)
        by = margin / (answers.amax(1) - answers.amin(1)).mean()
        for values in branch.classifier.parameters():
            values.mul_(by)


@pytest.mark.parametrize(("name", "temperature"), SOFTENED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_classifiers_of_any_margin_have_finite_losses_and_gradients(
    name: str, temperature: float, dtype: torch.dtype
) -> None:
    """Those of both networks, of the method and of the teacher's part; the teacher is sure of what
    the student finds least likely."""
    own = {key: temperature**power for key, power in SOFTENING.items()}
    options = {key: value for key, value in own.items() if key in method_options(name)}
    method, student, teacher, batch = built(name, 0, torch.float32, **options)
    for margin in (20.0, 100.0, 500.0):
        logits = sure(student.logits, margin)
        with torch.no_grad():
            make_heads_sure(method, student, margin)
            if teacher:
                teacher = teacher._replace(logits=-logits)
                if method.teacher_part:
                    make_heads_sure(method.teacher_part, teacher, margin)
        theirs = cast(teacher, dtype) if teacher else None
        check_finite(method, cast(student._replace(logits=logits), dtype), theirs, batch)
