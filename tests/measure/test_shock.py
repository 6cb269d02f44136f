"""Gradient-shock quantities: against their definitions, by a probe that only looks."""

import copy

import pytest
import torch
from helpers import copied, make, make_trainer, network, task_data, whole_batch
from torch import Tensor

from stagewise.measure.shock import (
    EARLY,
    LIMIT,
    Observer,
    gradient_window,
    linear_cka,
    ridge_accuracy,
)
from stagewise.models.features import Network
from stagewise.recipes.base import Phase
from stagewise.training.observer import Moment, Subject

KD = {"ce": 0.1, "kd": 0.9}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rotation(size: int) -> Tensor:
    q, _ = torch.linalg.qr(torch.randn(size, size, generator=generator(5)))
    return q


# -- CKA and the ridge classifier ----------------------------------------------------------------


def test_cka_is_1_for_the_same_features() -> None:
    x = torch.randn(50, 6, generator=generator())
    assert linear_cka(x, x) == pytest.approx(1, abs=1e-5)


def test_cka_does_not_see_rotation_scale_or_shift() -> None:
    x = torch.randn(50, 6, generator=generator())
    y = torch.randn(50, 6, generator=generator(1)) + 0.5 * x
    plain = linear_cka(x, y)
    assert linear_cka(x, x @ rotation(6)) == pytest.approx(1, abs=1e-5)
    assert linear_cka(x, 7 * x + 3) == pytest.approx(1, abs=1e-4)
    assert linear_cka(x, -0.01 * y @ rotation(6) + 2) == pytest.approx(plain, abs=1e-3)
    assert linear_cka(y, x) == pytest.approx(plain, abs=1e-5)


def test_cka_is_small_for_unrelated_features() -> None:
    x, y = (torch.randn(2000, 4, generator=generator(seed)) for seed in (0, 1))
    assert 0 <= linear_cka(x, y) < 0.05


def test_cka_is_the_definition_by_hand() -> None:
    x = torch.tensor([[1.0], [0.0], [-1.0]])
    y = torch.tensor([[1.0], [-2.0], [1.0]])
    assert linear_cka(x, y) == pytest.approx(0)
    z = torch.tensor([[1.0], [1.0], [-2.0]])
    # (x·z)² / (x·x z·z) = 3² / (2 · 6)
    assert linear_cka(x, z) == pytest.approx(9 / 12)


def blobs(each: int = 40, apart: float = 6.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = torch.arange(3).repeat(each)
    centres = apart * torch.eye(3, 5)
    return centres[labels] + torch.randn(len(labels), 5, generator=generator(seed)), labels


def test_ridge_tells_separable_classes_apart() -> None:
    train, test = blobs(apart=20.0), blobs(apart=20.0, seed=1)
    assert ridge_accuracy(*train, *test) == 100
    assert ridge_accuracy(1000 * train[0] + 9, train[1], 1000 * test[0] + 9, test[1]) == 100


def test_ridge_knows_nothing_of_random_labels() -> None:
    (x, labels), (check, truth) = blobs(400, apart=0.0), blobs(400, apart=0.0, seed=1)
    assert ridge_accuracy(x, labels, check, truth) == pytest.approx(100 / 3, abs=8)


# -- the probe -----------------------------------------------------------------------------------


PHASE = Phase("train", 10, 0.1)


def moment(step: int, steps: int, per_epoch: int) -> Moment:
    return Moment(PHASE, step, steps, per_epoch, 0.1)


def probe(student: Network, teacher: Network | None = None, images: int = 16) -> Observer:
    method = make("kd" if teacher else "ce", student, teacher)
    return Observer(
        Subject(student, method, KD if teacher else {"ce": 1.0}, teacher, task_data(images))
    )


def look(student: Network, teacher: Network | None = None, step: int = 0) -> dict[str, float]:
    watching = probe(student, teacher)
    watching.before_step(moment(step, 100, 10))
    (row,) = watching.rows
    return row


def test_the_gradient_is_autograds() -> None:
    student, teacher = network(seed=1), network("resnet14", seed=2).eval().requires_grad_(False)
    row = look(student, teacher)
    by_hand = copy.deepcopy(student).eval()
    data = task_data(16)
    batch = whole_batch(data)
    images, labels = (torch.cat([t, t]) for t in (batch.images, batch.labels))  # both splits
    terms = make("kd")(
        by_hand(images), teacher(images), type(batch)(images, labels, labels, labels, labels)
    )
    (KD["ce"] * terms["ce"] + KD["kd"] * terms["kd"]).backward()
    squares = {
        name: p.grad.double().square().sum().item()
        for name, p in by_hand.named_parameters()
        if p.grad is not None and not name.startswith("classifier.")
    }
    assert len(squares) == len(list(student.named_parameters())) - 2
    assert row["g_backbone"] == pytest.approx(sum(squares.values()) ** 0.5, rel=1e-4)
    for part in ("stem", "stage1", "stage2", "stage3"):
        own = sum(square for name, square in squares.items() if name.startswith(f"{part}."))
        assert row[f"g_{part}"] == pytest.approx(own**0.5, rel=1e-4)
    assert "g_classifier" not in row


def test_nothing_has_moved_at_the_start() -> None:
    row = look(network())
    assert row["step"] == 0
    assert row["displacement"] == 0
    for stage in ("stage1", "stage2", "stage3"):
        assert row[f"cka_{stage}"] == pytest.approx(1, abs=1e-4)


def test_displacement_is_relative_to_the_first_weights() -> None:
    student = network()
    watching = probe(student)
    with torch.no_grad():
        for name, p in student.named_parameters():
            p.mul_(10 if name.startswith("classifier.") else 1.1)  # the classifier does not count
    watching.before_step(moment(1, 100, 10))
    assert watching.rows[0]["displacement"] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("exits", [None, "sepatt"])
def test_the_probe_only_looks(exits: str | None) -> None:
    student = network(exits=exits).train()
    teacher = network(seed=1, exits=exits).eval().requires_grad_(False)
    method = make("oto" if exits else "kd", student, teacher)
    before, answer_before = copied(student), copied(teacher)
    for p in student.parameters():
        p.grad = torch.full_like(p, 3.0)
    state = torch.get_rng_state()
    watching = Observer(Subject(student, method, KD, teacher, task_data(16)))
    watching.before_step(moment(0, 100, 10))
    watching.after_phase(PHASE, last=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all((p.grad == 3).all() for p in student.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in student.parameters())
    assert all(torch.equal(t, before[n]) for n, t in copied(student).items())
    assert all(torch.equal(t, answer_before[n]) for n, t in copied(teacher).items())


def test_a_multi_exit_network_has_the_gradient_of_each_part() -> None:
    student = network(exits="sepatt")
    method = make("exits_ce", student)
    watching = Observer(Subject(student, method, {"ce": 1.0}, None, task_data(16)))
    watching.before_step(moment(0, 100, 10))
    row = watching.rows[0]
    assert {"g_stem", "g_stage1", "g_stage2", "g_stage3", "g_exits.1", "g_exits.2"} <= row.keys()
    parts = sum(value**2 for name, value in row.items() if name in watching_parts(student))
    assert parts == pytest.approx(row["g_backbone"] ** 2, rel=1e-4)


def watching_parts(student: Network) -> set[str]:
    return {f"g_{part}" for part in student.parts()}


def test_training_is_the_same_with_and_without_a_probe() -> None:
    plain, watched = network(), network()
    phases = [Phase("train", 3, 0.1)]
    make_trainer(plain, task_data(16), phases).run()
    trainer = make_trainer(watched, task_data(16), phases)
    trainer.observers = {"shock": probe(watched)}
    trainer.run()
    assert len(trainer.observers["shock"].rows) > 3
    assert all(torch.equal(t, plain.state_dict()[n]) for n, t in copied(watched).items())


def test_every_early_and_window_step_has_a_row() -> None:
    watching = probe(network(), images=4)
    for step in range(130):
        watching.before_step(moment(step, 1300, 4))
    steps = {row["step"] for row in watching.rows}
    assert set(range(EARLY + 1)) <= steps
    assert set(range(90, 101)) <= steps
    assert 60 not in steps
    with_features = {row["step"] for row in watching.rows if "cka_stage1" in row}
    assert {0, 1, 2, 5, 10, 20, 50, 100} <= with_features
    assert 3 not in with_features


@pytest.mark.parametrize(
    ("per_epoch", "window"), [(4, (90, 100)), (100, (90, 100)), (500, (450, 500))]
)
def test_the_window_is_the_last_tenth_of_the_first_epoch(
    per_epoch: int, window: tuple[int, int]
) -> None:
    steps = gradient_window(per_epoch)
    assert (steps[0], steps[-1]) == window


def test_the_probe_has_at_most_1024_images_of_each_split() -> None:
    watching = probe(network(), images=LIMIT + 60)
    assert len(watching.batch.labels) == 2 * LIMIT
    assert watching.train_count == LIMIT


def test_stage_one_has_no_rows() -> None:
    student = network()
    phases = [Phase("stabilise", 2, 0.1, trains=("classifier",)), Phase("distil", 2, 0.1)]
    trainer = make_trainer(student, task_data(16), phases)
    trainer.observers = {"shock": probe(student)}
    trainer.run()
    assert {row["phase"] for row in trainer.observers["shock"].rows} == {"distil"}
    assert trainer.observers["shock"].rows[0]["step"] == 0
    assert trainer.observers["shock"].rows[0]["displacement"] == 0
    assert trainer.observers["shock"].rows[-1]["displacement"] > 0


def test_quality_is_measured_on_validation_images() -> None:
    row = look(network())
    data = task_data(16)
    student = network().eval()
    logits = student(data.normalise(data.validation.images)).logits
    expected = torch.nn.functional.cross_entropy(logits, data.validation.labels).item()
    assert row["validation_loss"] == pytest.approx(expected, rel=1e-5)
    assert 0 <= row["probe_accuracy"] <= 100
