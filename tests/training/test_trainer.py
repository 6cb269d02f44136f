"""The loop: what it refuses before and while training, and what it writes down."""

import pytest
import torch
from helpers import copied, make, make_trainer, network, setup, task_data

from stagewise.errors import UserError
from stagewise.methods.base import DistillationMethod, Losses
from stagewise.models.features import Batch, Features
from stagewise.recipes.base import BatchNormPhase, Phase
from stagewise.training.teachers import LiveTeacher, TableTeacher
from stagewise.training.trainer import predict

KD = {"ce": 0.1, "kd": 0.9}
PHASE = [Phase("train", 4, 0.1)]


def test_a_loss_that_is_not_finite_stops_training() -> None:
    trainer = make_trainer(network(), task_data(16), [Phase("train", 50, 1e20)])
    with pytest.raises(UserError, match=r"toy: the loss is not finite in epoch \d+.*1e\+20; lower"):
        trainer.run()


class Broken(DistillationMethod):
    """A term that is not finite although it weighs nothing."""

    def losses(self, student: Features, teacher: Features | None, batch: Batch) -> Losses:
        """``ce`` and an unseen NaN."""
        return {"ce": student.logits.square().mean(), "unseen": torch.tensor(float("nan"))}


def test_a_term_that_is_not_finite_stops_training_too() -> None:
    trainer = make_trainer(
        network(),
        task_data(16),
        PHASE,
        method=Broken(setup(network(), task_data(16))),
        weights={"ce": 1.0, "unseen": 0.0},
    )
    with pytest.raises(UserError, match="not finite in epoch 1"):
        trainer.run()


def test_a_teacher_of_other_classes_is_found_before_training() -> None:
    teacher = LiveTeacher(network(classes=7).eval())
    student = network()
    before = copied(student)
    trainer = make_trainer(
        student,
        task_data(16),
        PHASE,
        method=make("kd"),
        weights=KD,
        teacher=teacher,
    )
    with pytest.raises(UserError, match="toy: student, teacher and method do not fit"):
        trainer.run()
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(student).items())


def test_a_missing_teacher_is_found_before_training() -> None:
    trainer = make_trainer(network(), task_data(16), PHASE, method=make("kd"), weights=KD)
    with pytest.raises(UserError, match="do not fit"):
        trainer.run()


def test_missing_exits_are_found_before_training() -> None:
    trainer = make_trainer(network(), task_data(16), PHASE, method=make("exits_ce"))
    with pytest.raises(UserError, match="do not fit"):
        trainer.run()


def test_images_of_other_channels_are_found_before_training() -> None:
    trainer = make_trainer(network(channels=3), task_data(16), PHASE, method=make("ce"))
    with pytest.raises(UserError, match="do not fit"):
        trainer.run()


@pytest.mark.parametrize("weights", [{"kd": 1.0}, {"ce": 1.0, "kd": 1.0}, {"cross": 1.0}])
def test_weights_that_name_other_terms_are_refused(weights: dict[str, float]) -> None:
    trainer = make_trainer(network(), task_data(16), PHASE, weights=weights)
    with pytest.raises(UserError, match=r"losses are \['ce'\], but weights name"):
        trainer.run()


def test_the_trial_leaves_the_network_alone() -> None:
    student = network()
    before = copied(student)
    make_trainer(student, task_data(16), PHASE)._dry_run()
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(student).items())


def test_training_learns() -> None:
    student, data = network(seed=1), task_data(16)
    history = make_trainer(student, data, [Phase("train", 60, 0.05)], crop=0).run()
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]
    assert history[-1]["train_accuracy"] == 100
    assert history[-1]["validation_accuracy"] == 100  # the same images


def test_a_row_holds_means_over_the_images_of_the_epoch() -> None:
    student, data = network(), task_data(20)
    phase = [BatchNormPhase("look", 1, 0.1)]  # no weight moves
    (row,) = make_trainer(student, data, phase, batch_size=8, crop=0).run()
    images = data.normalise(data.train.images)
    trainer = make_trainer(network(), data, phase, batch_size=8, crop=0)
    losses, right = [], 0
    student = network().train()
    for batch in trainer.batches.epoch(0):
        logits = student(images[batch.index]).logits
        labels = data.train.labels[batch.index]
        losses += torch.nn.functional.cross_entropy(logits, labels, reduction="none").tolist()
        right += int((logits.argmax(1) == labels).sum())
    assert row["train_loss"] == pytest.approx(sum(losses) / 20, rel=1e-5)
    assert row["ce"] == pytest.approx(row["train_loss"], rel=1e-6)
    assert row["train_accuracy"] == pytest.approx(100 * right / 20)


def test_the_total_is_the_weighted_sum_of_its_terms() -> None:
    data = task_data(16)
    trainer = make_trainer(
        network(),
        data,
        PHASE,
        method=make("kd"),
        weights={"ce": 0.25, "kd": 2.0},
        teacher=LiveTeacher(network(seed=1).eval()),
    )
    for row in trainer.run():
        assert row["train_loss"] == pytest.approx(0.25 * row["ce"] + 2 * row["kd"], rel=1e-5)


def test_table_and_live_teacher_train_the_same_student() -> None:
    data, teacher = task_data(64), network(seed=1).eval().requires_grad_(False)
    students = []
    for kind in ("table", "live"):
        student = network()
        trainer = make_trainer(
            student,
            data,
            PHASE,
            method=make("kd"),
            weights=KD,
            batch_size=64,
            crop=1,
        )
        table = TableTeacher(teacher, trainer.batches)
        trainer.teacher = table if kind == "table" else LiveTeacher(teacher)
        trainer.run()
        students.append(copied(student))
    for name, tensor in students[0].items():
        assert torch.allclose(tensor, students[1][name], atol=1e-5), name


def test_validation_comes_at_its_epochs_and_at_the_last() -> None:
    phases = [Phase("one", 3, 0.1), Phase("two", 4, 0.1)]
    history = make_trainer(network(), task_data(16), phases, evaluate_every=3).run()
    due = [row["epoch"] for row in history if row["validation_accuracy"] is not None]
    assert [row["epoch"] for row in history] == list(range(1, 8))
    assert due == [3, 6, 7]


def test_how_often_one_validates_does_not_change_training() -> None:
    often, rarely = network(), network()
    make_trainer(often, task_data(16), PHASE, evaluate_every=1).run()
    make_trainer(rarely, task_data(16), PHASE, evaluate_every=100).run()
    assert all(torch.equal(t, rarely.state_dict()[n]) for n, t in copied(often).items())


def test_predictions_do_not_depend_on_batches_and_move_nothing() -> None:
    student, data = network(exits="linear").train(), task_data(20)
    before = copied(student)
    logits = predict(student, data, data.test, batch_size=7)
    assert logits.shape == (3, 20, 4)
    assert torch.allclose(logits, predict(student, data, data.test, batch_size=20), atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in copied(student).items())
    assert predict(network(), data, data.test).shape == (1, 20, 4)
