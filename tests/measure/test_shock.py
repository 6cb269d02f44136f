"""Gradient-shock quantities: against their definitions, by a probe that only looks."""

import copy
import math
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from helpers import CLASSES, changed, copied, make, make_trainer, network, task_data, whole_batch
from probes import KD, PHASE, look, moment, probe, subject, watched
from torch import Tensor, nn

from stagewise.catalogue import method_weights
from stagewise.data.batches import Split
from stagewise.measure.probe import batch_statistics, probe_batch
from stagewise.measure.shock import Observer
from stagewise.models.features import Features, Network
from stagewise.models.store import new_classifier
from stagewise.recipes.base import Phase
from stagewise.training.observer import Moment, Subject


@pytest.mark.parametrize("exits", [None, "sepatt"])
def test_the_backbone_is_all_but_the_classifiers(exits: str | None) -> None:
    student = network(exits=exits)
    parts = student.backbone_parts()
    assert set(student.parts()) - set(parts) == {"classifier"}
    heads = sum(p.numel() for layer in student.classifiers() for p in layer.parameters())
    own = sum(p.numel() for p in student.backbone_parameters().values())
    assert own + heads == sum(p.numel() for p in student.parameters())


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


class LinearNetwork(Network):
    """h = B x, by a kernel as large as the image; logits W h + b."""

    stages = ("stage1",)

    def __init__(self, seed: int, features: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stage1 = nn.Conv2d(1, features, 8, bias=False)
        self.classifier = nn.Linear(features, CLASSES)

    def forward(self, images: Tensor) -> Features:
        tap = self.stage1(images)
        pooled = tap.mean((2, 3))
        return Features(self.classifier(pooled), {"stage1": tap}, pooled)


def test_a_linear_network_has_its_closed_forms() -> None:
    """The gradient is Wᵀ[(1 - α)(p - y) + αT(p_T - q_T)]xᵀ, the mean over images; the displacement
    and the likeness of features follow from the two matrices B."""
    student, teacher = LinearNetwork(1), LinearNetwork(2).eval().requires_grad_(False)
    watching = probe(student, teacher)
    watching.before_step(moment(0))
    batch = whole_batch(task_data(16))
    x = torch.cat([batch.images.flatten(1)] * 2).double()  # both splits
    y = torch.cat([torch.eye(CLASSES)[batch.labels]] * 2).double()

    def parts(network: LinearNetwork) -> tuple[Tensor, Tensor, Tensor]:
        kernel = network.stage1.weight.detach().double().flatten(1)
        head = network.classifier.weight.detach().double()
        return kernel, head, x @ kernel.T @ head.T + network.classifier.bias.detach().double()

    (b, w, z), (_, _, t) = parts(student), parts(teacher)
    hot = 4.0
    soft = (z / hot).softmax(1) - (t / hot).softmax(1)
    slope = KD["ce"] * (z.softmax(1) - y) + KD["kd"] * hot * soft
    gradient = w.T @ slope.T @ x / len(x)
    assert watching.rows[0]["g_backbone"] == pytest.approx(gradient.norm().item(), rel=1e-4)
    moved = torch.randn(b.shape, generator=torch.Generator().manual_seed(3)) * 0.1
    with torch.no_grad():
        student.stage1.weight += moved.view_as(student.stage1.weight)
    watching.before_step(moment(10))
    row = watching.rows[1]
    assert row["displacement"] == pytest.approx((moved.norm() / b.norm()).item(), rel=1e-4)
    before, after = (
        h - h.mean(0) for h in (x @ b.T, x @ student.stage1.weight.detach().double().flatten(1).T)
    )
    alike = (before.T @ after).square().sum()
    alike /= (before.T @ before).norm() * (after.T @ after).norm()
    assert row["cka_stage1"] == pytest.approx(alike.item(), abs=1e-4)


@pytest.mark.parametrize("taught", [False, True])
def test_a_classifier_of_zeros_sends_no_gradient_back_at_step_0(taught: bool) -> None:
    student, teacher = network(seed=1), network("resnet14", seed=2).eval().requires_grad_(False)
    new_classifier(student, CLASSES, seed=0, start="zero")
    row = look(student, teacher if taught else None)
    assert row["g_backbone"] == row["g_backbone_batch"] == 0.0


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
    watching.before_step(moment(1))
    assert watching.rows[0]["displacement"] == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("exits", [None, "sepatt"])
def test_the_probe_only_looks(exits: str | None) -> None:
    student = network(exits=exits).train()
    teacher = network(seed=1, exits=exits).eval().requires_grad_(False)
    method = make("oto" if exits else "kd", student, teacher)
    before, answer_before = copied(student), copied(teacher)
    for p in student.parameters():
        p.grad = torch.full_like(p, 3.0)
    (student.backbone if exits else student).stem.requires_grad_(False)
    state = torch.get_rng_state()
    watching = Observer(Subject(student, method, KD, teacher, task_data(16), [PHASE], 10, seed=0))
    watching.before_step(moment(0))
    watching.after_step(moment(0))
    watching.after_phase(PHASE, last=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all((p.grad == 3).all() for p in student.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in student.parameters())
    assert [n for n, p in student.named_parameters() if not p.requires_grad] == [
        n for n, _ in student.named_parameters() if ".stem." in f".{n}"
    ]
    assert all(torch.equal(t, before[n]) for n, t in copied(student).items())
    assert all(torch.equal(t, answer_before[n]) for n, t in copied(teacher).items())


def test_batch_statistics_leave_every_running_one_every_mode_and_momentum_alone() -> None:
    student, names = network(), []
    for number, (name, module) in enumerate(student.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            names.append(name)
            module.train(number % 2 == 0)
            module.momentum = None if number % 3 else 0.1
    student.classifier.eval()

    def modes() -> list[Any]:
        return [
            (m.training, getattr(m, "momentum", 0), getattr(m, "track_running_stats", 0))
            for m in student.modules()
        ]

    before, was = copied(student), modes()
    images = task_data(16).train.images.float() / 255
    with batch_statistics([student]):
        shown = student(images)
        assert [m.training for m in student.modules() if not isinstance(m, nn.BatchNorm2d)] == [
            training
            for (training, *_), m in zip(was, student.modules(), strict=True)
            if not isinstance(m, nn.BatchNorm2d)
        ]
    assert modes() == was
    assert changed(before, student) == set()
    plain = copy.deepcopy(student).train()(images)
    assert torch.allclose(shown.logits, plain.logits, atol=1e-5)
    with pytest.raises(RuntimeError), batch_statistics([student]):
        raise RuntimeError
    assert modes() == was
    assert names


@pytest.mark.parametrize("name", ["afd", "fitnet"])
def test_the_probe_leaves_a_methods_statistics_alone(name: str) -> None:
    student, teacher = network(), network("resnet14", seed=2).eval().requires_grad_(False)
    watching = probe(student, teacher, name=name, weights=method_weights(name) | {"ce": 1.0})
    watching.method.train()
    before = copied(watching.method)
    assert any("running_mean" in buffer for buffer in before)
    watching.before_step(moment(0))
    assert changed(before, watching.method) == set()


def test_a_multi_exit_network_has_the_gradient_of_each_part() -> None:
    student = network(exits="sepatt")
    watching = probe(student, name="exits_ce")
    watching.before_step(moment(0))
    row = watching.rows[0]
    assert {"g_stem", "g_stage1", "g_stage2", "g_stage3", "g_exits.1", "g_exits.2"} <= row.keys()
    for kind in ("", "_batch"):
        parts = sum(row[f"g_{part}{kind}"] ** 2 for part in student.backbone_parts())
        assert parts == pytest.approx(row[f"g_backbone{kind}"] ** 2, rel=1e-4)


def test_training_is_the_same_with_and_without_a_probe() -> None:
    plain, seen = network(), network()
    phases = [Phase("train", 3, 0.1)]
    make_trainer(plain, task_data(16), phases).run()
    assert len(watched(seen, phases).rows) > 3
    assert all(torch.equal(t, plain.state_dict()[n]) for n, t in copied(seen).items())


def test_both_kinds_of_statistics_agree_where_the_running_ones_are_the_probes() -> None:
    student = network()
    watching = probe(student)
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        student.train()(watching.batch.images)
    watching.before_step(moment(0))
    row = watching.rows[0]
    both = [name for name in row if f"{name}_batch" in row]
    assert {"probe_accuracy", "validation_loss", "cka_stage3"} <= {*both}
    for name in both:
        if not name.startswith("g_"):  # their gradients differ: one goes through the statistics
            assert row[name] == pytest.approx(row[f"{name}_batch"], rel=1e-2)


def test_running_statistics_lag_behind_weights_that_moved() -> None:
    student = network()
    watching = watched(student, [Phase("train", 2, 0.5)], batch_size=4)
    first, *_, last = watching.rows
    assert first["cka_stage3"] == pytest.approx(1, abs=1e-4)
    assert first["cka_stage3_batch"] == pytest.approx(1, abs=1e-4)
    for name in ("g_backbone", "g_stem", "cka_stage3", "validation_loss"):
        assert last[name] != pytest.approx(last[f"{name}_batch"], rel=1e-3)


def test_the_gradient_under_batch_statistics_is_that_of_training_mode() -> None:
    student = network(seed=1)
    row = look(student)
    by_hand = copy.deepcopy(student).train()
    batch, _ = probe_batch(task_data(16), 0)
    loss = torch.nn.functional.cross_entropy(by_hand(batch.images).logits, batch.labels)
    loss.backward()
    squares = sum(
        p.grad.double().square().sum().item()
        for name, p in by_hand.named_parameters()
        if p.grad is not None and not name.startswith("classifier.")
    )
    assert row["g_backbone_batch"] == pytest.approx(squares**0.5, rel=1e-4)


def test_the_update_is_how_far_a_step_moved_the_backbone() -> None:
    student, positions = network(), []

    class Positions:
        rows: ClassVar[list[Any]] = []

        def before_step(self, moment: Moment) -> None:
            positions.append(copied(student))

        def after_step(self, moment: Moment) -> None:
            positions.append(copied(student))

        def after_phase(self, phase: Phase, *, last: bool) -> None: ...

        def state(self) -> dict[str, Tensor]:
            return {}

        def restore(self, tensors: dict[str, Tensor], rows: list[Any]) -> None: ...

    phases = [Phase("stabilise", 1, 0.1, trains=("classifier",)), Phase("distil", 2, 0.1)]
    trainer = make_trainer(student, task_data(16), phases)
    watching = probe(student, phases=phases, per_epoch=2)
    trainer.observers = {"shock": watching, "positions": Positions()}
    trainer.run()
    assert [row["step"] for row in watching.rows] == [0, 1, 2, 3, 4]
    for number, row in enumerate(watching.rows[:-1], 2):  # after the two steps of stage 1
        before, after = positions[2 * number], positions[2 * number + 1]
        names = student.backbone_parameters()
        moved = torch.cat([(after[n] - before[n]).flatten() for n in names]).norm().item()
        size = torch.cat([before[n].flatten() for n in names]).norm().item()
        assert moved > 0
        assert row["update"] == pytest.approx(moved, rel=1e-4)
        assert row["update_relative"] == pytest.approx(moved / size, rel=1e-4)
    assert "update" not in watching.rows[-1]


def test_a_step_that_is_not_looked_at_costs_no_copy() -> None:
    watching = probe(network(), phases=[Phase("train", 1000, 0.1)], per_epoch=10)
    watching.before_step(moment(33))
    assert not watching.before
    watching.after_step(moment(33))
    assert watching.rows == []


def test_a_phase_of_part_of_the_backbone_has_its_own_loss_and_all_gradients() -> None:
    student, teacher = network(), network("resnet14", seed=2).eval().requires_grad_(False)
    hint = Phase("hint", 1, 0.1, trains=("stem", "stage1"), weights={"hint": 1.0})
    given = method_weights("fitnet")
    watching = probe(student, teacher, name="fitnet", weights=given, phases=[hint, PHASE])
    student.stage3.requires_grad_(False)
    watching.before_step(moment(0, hint))
    watching.before_step(moment(10))
    alone, whole = watching.rows
    assert [alone["step"], whole["step"]] == [0, 10]
    assert alone["g_stage3"] == alone["g_stage3_batch"] == 0  # the hint lies before it
    assert alone["g_stem"] > 0
    assert whole["g_stage3"] > 0
    assert not any(p.requires_grad for p in student.stage3.parameters())


def test_the_loss_is_that_of_the_moment() -> None:
    """DKD's own terms grow by a twentieth an epoch."""
    student, teacher = network(), network("resnet14", seed=2).eval().requires_grad_(False)
    weights = {"ce": 0.0, "tckd": 1.0, "nckd": 1.0}
    watching = probe(student, teacher, name="dkd", weights=weights)
    for step in (0, 90):
        watching.before_step(moment(step))
    early, late = (row["g_backbone"] for row in watching.rows)
    assert late == pytest.approx(10 * early, rel=1e-4)


def test_without_validation_images_the_quality_is_unknown() -> None:
    student = network()
    data = task_data(16)
    none = Split(data.train.images[:0], data.train.labels[:0])
    given = replace(subject(student), data=replace(data, validation=none))
    watching = Observer(given)
    watching.before_step(moment(0))
    row = watching.rows[0]
    assert math.isnan(row["probe_accuracy_batch"])
    assert row["g_backbone_batch"] > 0


def test_quality_is_measured_on_validation_images() -> None:
    row = look(network())
    data = task_data(16)
    student = network().eval()
    logits = student(data.normalise(data.validation.images)).logits
    expected = torch.nn.functional.cross_entropy(logits, data.validation.labels).item()
    assert row["validation_loss"] == pytest.approx(expected, rel=1e-5)
    assert 0 <= row["probe_accuracy"] <= 100
