"""What holds for every method alike: number types, purity, means over the batch, views."""

from dataclasses import replace

import pytest
import torch
from helpers import cast, copied, make, network, shown, task_data, whole_batch
from torch import Tensor

from stagewise.catalogue import method_needs, method_weights, methods
from stagewise.errors import UserError
from stagewise.methods.base import DistillationMethod, Losses
from stagewise.models.features import Batch, Features, Network

SIZE = 16
EVERY = sorted(methods())
FAST = {"crd": {"negatives": 32}}
GROWS = {"mlkd": {"batch": 3, "class": 9}}
"""Terms that are no means over the batch, as published, and by what they grow when every image
stands in it three times."""

RELATIONAL = {"sp", "cc", "rkd", "pkt"}
"""Those that compare images of the batch with each other. Their losses are means over pairs or
triples of images, so a batch that holds every image three times is another one: how it differs is
in ``test_relations_of_a_batch_seen_thrice``."""

CONTRASTED = {"contrast_head", "sskd"}
"""Those that find an image among the others of the batch: ``test_sskd.py`` has what changes."""

Parts = tuple[DistillationMethod, Network, Network | None]


def built(name: str, images: int = 8, dtype: torch.dtype = torch.float32) -> Parts:
    """A method, its student and its teacher, in evaluation mode."""
    needs, data = method_needs(name), task_data(images, size=SIZE)
    student = network("resnet14", exits="sepatt" if needs.exits else None, image_size=SIZE)
    exits = "sepatt" if needs.teacher_part == "exits_ce" else None
    teacher = network(seed=1, exits=exits, image_size=SIZE) if needs.teacher else None
    method = make(name, student, teacher, data, **FAST.get(name, {}))
    for module in (method, student, teacher, method.teacher_part):
        if module is not None:
            module.to(dtype).eval()
    return method, student, teacher


def batch_of(images: int = 8, dtype: torch.dtype = torch.float32) -> Batch:
    batch = whole_batch(task_data(images, size=SIZE))
    return replace(batch, images=batch.images.to(dtype))


def numbers(terms: Losses) -> dict[str, float]:
    return {name: term.item() for name, term in terms.items()}


@pytest.mark.parametrize("name", EVERY)
def test_terms_are_what_the_weights_name_and_double_precision_stays(name: str) -> None:
    method, student, teacher = built(name, dtype=torch.float64)
    terms = method(*shown(method, batch_of(dtype=torch.float64), student, teacher))
    assert terms.keys() == method_weights(name).keys()
    assert {(term.dtype, term.dim()) for term in terms.values()} == {(torch.float64, 0)}


@pytest.mark.parametrize("name", EVERY)
def test_losses_are_single_precision_where_features_are_half(name: str) -> None:
    method, student, teacher = built(name)
    of_student, of_teacher, batch = shown(method, batch_of(), student, teacher)
    full = method(of_student, of_teacher, batch)
    half = method(
        cast(of_student, torch.bfloat16),
        cast(of_teacher, torch.bfloat16) if of_teacher else None,
        batch,
    )
    assert {term.dtype for term in half.values()} == {torch.float32}
    for term, value in half.items():
        assert value.item() == pytest.approx(full[term].item(), rel=0.1, abs=0.02)


@pytest.mark.parametrize("name", EVERY)
def test_losses_change_nothing_and_say_the_same_again(name: str) -> None:
    method, student, teacher = built(name)
    given = shown(method, batch_of(), student, teacher)
    tensors = [
        tensor for each in given[:2] if each for tensor in (each.logits, *each.taps.values())
    ]
    before, kept = copied(method), [tensor.clone() for tensor in tensors]
    first, second = method(*given), method(*given)
    assert numbers(first) == numbers(second)
    after = method.state_dict()
    assert all(torch.equal(after[key].nan_to_num(), t.nan_to_num()) for key, t in before.items())
    assert all(torch.equal(now, then) for now, then in zip(tensors, kept, strict=True))


@pytest.mark.parametrize("name", sorted(set(EVERY) - RELATIONAL - CONTRASTED))
def test_losses_are_means_over_the_batch(name: str) -> None:
    method, student, teacher = built(name)
    once = batch_of()

    def thrice(values: Tensor) -> Tensor:
        return torch.cat([values] * 3)

    more = replace(
        once,
        images=thrice(once.images),
        labels=thrice(once.labels),
        index=thrice(once.index),
        view=thrice(once.view),
        target=thrice(once.target),
    )
    expected = numbers(method(*shown(method, once, student, teacher)))
    found = numbers(method(*shown(method, more, student, teacher)))
    for key, times in GROWS.get(name, {}).items():
        expected[key] *= times
    assert found == {key: pytest.approx(value, rel=1e-4) for key, value in expected.items()}


def picked(features: Features, rows: Tensor) -> Features:
    """The features of these images of the batch, bit for bit."""
    taps = {name: tap[rows] for name, tap in features.taps.items()}
    return Features(features.logits[rows], taps, features.pooled[rows])


@pytest.mark.parametrize("name", sorted(RELATIONAL))
def test_relations_of_a_batch_seen_thrice(name: str) -> None:
    """Of B images: ``sp`` and ``pkt`` are sums of 1/B over B², as their rows have length or sum 1.
    In ``rkd`` an angle with two equal images is 0, like those on the diagonal; a distance of 0
    between copies makes the mean distance smaller, and all others larger; the two networks' are
    brought near, to less than 1, where smooth L1 is a square. In ``cc`` the last image meets the
    first one twice."""
    method, student, teacher = built(name, dtype=torch.float64)
    of_student, of_teacher, batch = shown(method, batch_of(dtype=torch.float64), student, teacher)
    assert of_teacher is not None
    of_teacher = of_teacher._replace(pooled=of_student.pooled.lerp(of_teacher.pooled, 0.2))
    count = len(batch.labels)

    def terms(rows: Tensor) -> dict[str, float]:
        some = replace(batch, labels=batch.labels[rows], target=batch.target[rows])
        return numbers(method(picked(of_student, rows), picked(of_teacher, rows), some))

    once, thrice = terms(torch.arange(count)), terms(torch.arange(count).repeat(3))
    factors = {
        "sp": 1 / 3,
        "pkt": 1 / 3,
        "distance": ((count - 1 / 3) / (count - 1)) ** 2,
    }
    expected = {term: factors.get(term, 1.0) * value for term, value in once.items()}
    if name == "cc":
        seam = terms(torch.tensor([count - 1, 0]))["cc"]
        expected["cc"] = (3 * (count - 1) * once["cc"] + 2 * seam) / (3 * count - 1)
    assert thrice == {key: pytest.approx(value, rel=1e-9) for key, value in expected.items()}


@pytest.mark.parametrize("name", EVERY)
def test_views_are_whole_copies_of_which_the_first_is_the_batch(name: str) -> None:
    method, *_ = built(name)
    batch = batch_of()
    seen = method.views(batch)
    count = len(batch.labels)
    assert len(seen.images) == method_needs(name).views * count
    assert torch.equal(seen.images[:count], batch.images)
    assert seen.images.is_contiguous(memory_format=torch.channels_last)
    for field in ("labels", "index", "view", "target"):
        copies = getattr(seen, field).split(count)
        assert all(torch.equal(copy, getattr(batch, field)) for copy in copies)
    assert (seen.step, seen.progress) == (batch.step, batch.progress)


@pytest.mark.parametrize("name", EVERY)
def test_only_methods_that_say_so_remember(name: str) -> None:
    method, student, teacher = built(name)
    given = shown(method, batch_of(), student, teacher)
    before = copied(method)
    with torch.no_grad():
        method.remember(*given)
    moved = [
        key for key, tensor in method.state_dict().items() if not torch.equal(tensor, before[key])
    ]
    assert bool(moved) == method_needs(name).remembers


@pytest.mark.parametrize("name", EVERY)
def test_a_step_reads_nothing_from_the_device(name: str) -> None:
    """Tensors without numbers: who asks for one, or for a shape that depends on one, gets an
    error. A captured step could not do it either."""
    method, student, teacher = built(name)
    for module in (method, student, teacher, method.teacher_part):
        if module is not None:
            module.to("meta").train()
    batch = batch_of()
    fields = {key: value.to("meta") for key, value in vars(batch).items()}
    for _ in range(2):
        given = shown(method, Batch(**fields), student, teacher)
        torch.stack(list(method(*given).values())).sum().backward()
        with torch.no_grad():
            method.remember(*given)


@pytest.mark.parametrize("name", EVERY)
def test_a_method_is_the_same_however_often_it_is_made(name: str) -> None:
    torch.manual_seed(5)
    first, *_ = built(name)
    torch.manual_seed(5)
    second, *_ = built(name)
    again = second.state_dict()
    assert all(
        torch.equal(t.nan_to_num(), again[key].nan_to_num()) for key, t in copied(first).items()
    )


def test_targets_may_be_probabilities() -> None:
    for name in EVERY:
        method, student, teacher = built(name)
        hard = batch_of()
        soft = replace(hard, target=torch.nn.functional.one_hot(hard.labels, 4).float())
        expected = numbers(method(*shown(method, hard, student, teacher)))
        found = numbers(method(*shown(method, soft, student, teacher)))
        assert found == {key: pytest.approx(value, rel=1e-5) for key, value in expected.items()}


@pytest.mark.parametrize(
    ("hint", "student", "teacher", "words"),
    [
        (4, "resnet8", "vgg8", "hint: 4 is no depth of both networks; give 0 to 3"),
        (-1, "resnet8", "vgg8", "hint: -1 is no depth"),
        (2, "resnet10-imagenet", "resnet8", "student's map, 8 x 2 x 2, cannot .* 8 x 6 x 6"),
    ],
)
def test_maps_that_cannot_be_matched_are_named(
    hint: int, student: str, teacher: str, words: str
) -> None:
    data = task_data(size=12)
    with pytest.raises(UserError, match=words):
        make("fitnet", network(student), network(teacher), data, hint=hint)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("crd", "negatives", 0),
        ("crd", "feat_dim", 0),
        ("crd", "tau", 0.0),
        ("crd", "momentum", 1.5),
        ("afd", "qk_dim", 0),
        ("cc", "feat_dim", 0),
        ("dist", "tau", 0.0),
        ("vid", "variance", 0.0),
        ("wttm", "gamma", 0.0),
        ("paraphraser", "rate", 0.0),
        ("dkd", "warm_up", -1),
        ("ab", "margin", -1.0),
        ("reviewkd", "warm_up", -1),
    ],
)
def test_options_out_of_range_are_named(name: str, option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{option}: {value:g} is out of range; give "):
        make(name, network(), network("vgg8"), **{option: value})


@pytest.mark.parametrize(("student", "whose"), [("resnet8", "teacher"), ("vgg8", "student")])
def test_factor_transfer_needs_more_than_one_pixel(student: str, whose: str) -> None:
    teacher = "vgg8" if student == "resnet8" else "resnet8"
    with pytest.raises(UserError, match=f"the {whose}'s last map has one pixel"):
        make("ft", network(student), network(teacher), task_data(size=8))
