"""Schedules of networks with exits: equal numbers of gradient steps, gradients and batch norm only
where a schedule says, and nothing deeper is computed."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers import architecture, changed, copied, make, make_trainer, network, task_data
from torch import nn
from torch.nn.functional import cross_entropy

from stagewise.catalogue import method_weights
from stagewise.data.batches import Split, TaskData, TrainingBatches
from stagewise.errors import UserError
from stagewise.models.cost import layer_macs
from stagewise.models.features import Network
from stagewise.recipes.base import ExitByExitPhase, Phase, make_phases
from stagewise.study.spec import Training
from stagewise.training.cost import training_effort
from stagewise.training.sgd import SGD
from stagewise.training.teachers import LiveTeacher
from stagewise.training.trainer import Trainer

SCHEDULES: dict[str, dict[str, Any]] = {
    "one_stage": {"recipe": "one_stage"},
    "phased": {"recipe": "phased"},
    "frozen": {"recipe": "phased", "freeze": True},
    "gauss_seidel": {"recipe": "gauss_seidel"},
    "mixed": {"recipe": "mixed"},
}
BACKBONE = ("stem", "stage1", "stage2", "stage3", "classifier")
ALONE: dict[str, list[tuple[str, ...]]] = {
    "phased": [
        ("stem", "stage1", "exits.1"),
        ("stem", "stage1", "stage2", "exits.1", "exits.2"),
        (*BACKBONE, "exits.1", "exits.2"),
    ],
    "frozen": [
        ("stem", "stage1", "exits.1"),
        ("stage2", "exits.2"),
        ("stage3", "classifier"),
    ],
    "mixed": [BACKBONE, (*BACKBONE, "exits.1", "exits.2")],
}
"""What each phase moves, weights and batch norm."""
RUN: dict[str, list[tuple[str, ...]]] = {
    "phased": ALONE["phased"],
    "frozen": [
        ("stem", "stage1", "exits.1"),
        ("stem", "stage1", "stage2", "exits.2"),
        BACKBONE,
    ],
    "mixed": ALONE["mixed"],
}
"""What it computes."""
PHASES = [(name, number) for name, rows in ALONE.items() for number in range(len(rows))]
PATHS = network(exits="sepatt").paths()


def phases(name: str, epochs: int = 6) -> list[Phase]:
    return make_phases(SCHEDULES[name], epochs=epochs, lr=0.05, paths=PATHS)


def no_validation(data: TaskData) -> TaskData:
    none = Split(data.train.images[:0], data.train.labels[:0])
    return TaskData(data.train, none, data.test, data.classes, data.mean, data.std)


def trainer_of(student: Network, given: list[Phase], method: str = "exits_ce") -> Trainer:
    return make_trainer(
        student, no_validation(task_data(16)), given, method=make(method, student), crop=0
    )


def tensors_of(student: Network, parts: tuple[str, ...]) -> set[str]:
    """Names of weights and statistics of parts."""
    names = {id(tensor): name for name, tensor in student.state_dict(keep_vars=True).items()}
    own = [student.parts()[part].state_dict(keep_vars=True) for part in parts]
    return {names[id(tensor)] for tensors in own for tensor in tensors.values()}


@pytest.mark.parametrize(("name", "number"), PHASES)
def test_a_phase_moves_weights_and_batch_norm_of_what_it_says_alone(name: str, number: int) -> None:
    student = network(exits="sepatt")
    before = copied(student)
    trainer_of(student, [phases(name)[number]]).run()
    assert changed(before, student) == tensors_of(student, ALONE[name][number])


def counted(student: Network) -> dict[str, int]:
    """How often a layer of each part is called, from now on."""
    calls = dict.fromkeys(student.parts(), 0)

    def watch(part: str, layer: nn.Module) -> None:
        inner = layer.forward

        def forward(*given: Any) -> Any:
            calls[part] += 1
            return inner(*given)

        layer.forward = forward

    for part, module in student.parts().items():
        for layer in module.modules():
            if not [*layer.children()]:
                watch(part, layer)
    return calls


@pytest.mark.parametrize(("name", "number"), PHASES)
def test_deeper_parts_are_not_computed(
    name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = network(exits="sepatt")
    trainer = trainer_of(student, [phases(name)[number]])
    calls = counted(student)
    monkeypatch.setattr(trainer, "_dry_run", lambda: None)
    trainer.run()
    assert {part for part, times in calls.items() if times} == {*RUN[name][number]}


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("epochs", [6, 12])
def test_gradient_steps_are_as_many(
    name: str, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    step = SGD.step
    monkeypatch.setattr(SGD, "step", lambda *given: steps.append(1) or step(*given))
    history = trainer_of(network(exits="linear"), phases(name, epochs)).run()
    assert len(steps) == 2 * epochs  # of two batches
    assert len(history) == (epochs // 3 if name == "gauss_seidel" else epochs)


def test_gauss_and_seidel_move_exit_after_exit() -> None:
    """Bit for bit those of a loop in torch: each exit's loss, one optimiser for all."""
    ours, theirs = (network(exits="sepatt", seed=3) for _ in range(2))
    trainer = trainer_of(ours, phases("gauss_seidel"))
    rows = trainer.run()
    theirs.train()
    optimiser = torch.optim.SGD(
        theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.0005, foreach=True
    )
    losses = []
    rates = iter(rates_of(trainer))
    for epoch in range(2):
        for batch in trainer.batches.epoch(epoch):
            optimiser.param_groups[0]["lr"] = next(rates)
            for number in (1, 2, 3):
                theirs.run_to(number if number < 3 else None, (f"exits.{number}",))
                optimiser.zero_grad(set_to_none=True)
                loss = cross_entropy(theirs(batch.images).logits, batch.target)
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
    assert changed(copied(theirs), ours) == set()
    assert [row["train_loss"] for row in rows] == pytest.approx(
        [sum(losses[:6]) / 2, sum(losses[6:]) / 2], rel=1e-5
    )


def rates_of(trainer: Trainer) -> Iterator[float]:
    """Learning rates of a run of two epochs of two batches, by its cosine."""
    angles = torch.arange(4, dtype=torch.float64) * torch.pi / 4
    return iter((0.05 * 0.5 * (1 + angles.cos())).tolist())


def test_gauss_and_seidels_batch_norm_counts_what_runs() -> None:
    """Two epochs of two batches: the stem runs for all three exits, the last stage for one."""
    student = network(exits="sepatt")
    trainer_of(student, phases("gauss_seidel")).run()
    found = {
        part: {
            int(m.num_batches_tracked)
            for m in module.modules()
            if isinstance(m, nn.BatchNorm2d) and m.num_batches_tracked is not None
        }
        for part, module in student.parts().items()
    }
    expected = {"stem": 12, "stage1": 12, "stage2": 8, "stage3": 4, "exits.1": 4, "exits.2": 4}
    assert found == {**{part: {n} for part, n in expected.items()}, "classifier": set()}


def test_phased_restarts_its_schedule_or_goes_on() -> None:
    def rates(**options: bool) -> list[float]:
        entry = {"recipe": "phased", **options}
        given = make_phases(entry, epochs=6, lr=0.05, paths=PATHS)
        return [row["lr"] for row in trainer_of(network(exits="linear"), given).run()]

    one = trainer_of(network(exits="linear"), phases("one_stage")).run()
    assert rates(restart=False) == [row["lr"] for row in one]
    again = rates()
    assert again == again[:2] * 3
    assert again[:2] != [row["lr"] for row in one][:2]


def test_phased_needs_an_epoch_for_each_exit() -> None:
    with pytest.raises(UserError, match=r"2 epochs cannot make a phase for each of 3 exits"):
        phases("phased", epochs=2)
    assert [phase.epochs for phase in phases("phased", epochs=11)] == [3, 4, 4]


def test_of_one_exit_every_schedule_is_training() -> None:
    for name in ("phased", "gauss_seidel"):
        [phase] = make_phases(SCHEDULES[name], epochs=6, lr=0.05, paths=network().paths())
        assert phase.epochs == 6
        student, plain = network(), network()
        trainer_of(student, [phase], "ce").run()
        trainer_of(plain, [Phase("train", 6, 0.05)], "ce").run()
        assert changed(copied(plain), student) == set()


@pytest.mark.parametrize("name", ["tskd", "self_distillation"])
def test_exits_that_learn_from_one_another_run_together(name: str) -> None:
    student = network(exits="sepatt")
    method = make(name, student, network())
    trainer = make_trainer(
        student,
        task_data(16),
        phases("gauss_seidel"),
        method=method,
        weights=method_weights(name),
        teacher=LiveTeacher(network().eval()),
    )
    with pytest.raises(
        UserError, match=r"'exit by exit' trains one exit at a time.*another recipe"
    ):
        trainer.run()


# -- cost ----------------------------------------------------------------------------------------


def effort(name: str) -> int:
    student, data = network(exits="linear"), task_data(16)
    batches = TrainingBatches(data, seed=0, settings=Training(batch_size=8))
    method = make("exits_ce", student)
    found = training_effort(student, method, {"ce": 1.0}, None, batches, phases(name))
    return found["training_macs"]


def macs_of(parts: tuple[str, ...]) -> int:
    """Of one image, forward and backward, where all of these run and move: the images themselves
    have no gradient."""
    student, shape = network(exits="linear"), architecture(exits="linear")
    layers = layer_macs(student, shape)
    names = {m: part for part, top in student.parts().items() for m in top.modules()}
    own = [n for n, module in student.named_modules() if names.get(module) in parts and n in layers]
    first = next(n for n in layers if n.startswith("backbone.stem"))
    return 3 * sum(layers[n] for n in own) - layers[first]


def test_every_schedule_is_counted_by_hand() -> None:
    """Six epochs of 16 images."""
    shown = 6 * 16
    every = tuple(network(exits="linear").parts())
    by_phase = [macs_of(parts) for parts in ALONE["phased"]]
    assert effort("one_stage") == shown * macs_of(every)
    assert effort("phased") == shown * sum(by_phase) // 3
    assert effort("gauss_seidel") == shown // 3 * sum(map(macs_of, PATHS))
    assert effort("mixed") == shown // 2 * (macs_of(BACKBONE) + macs_of(every))
    assert effort("frozen") < effort("phased")


def test_phases_of_all_kinds() -> None:
    assert isinstance(phases("gauss_seidel")[0], ExitByExitPhase)
    assert [turn.exits for turn in phases("gauss_seidel")[0].turns] == [
        ("exits.1",),
        ("exits.2",),
        ("classifier",),
    ]
    assert [phase.turns for phase in phases("mixed")] == [(phase,) for phase in phases("mixed")]
