"""Recipes: epochs add up, and each phase moves exactly the parts that it names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import changed, copied, make, make_trainer, network, task_data
from torch import Tensor

from stagewise.catalogue import recipes
from stagewise.errors import UserError
from stagewise.models.features import Network
from stagewise.recipes.base import BatchNormPhase, Phase, make_phases
from stagewise.runs.folder import csv_text
from stagewise.study.spec import AS_IS

OPTIONS: dict[str, dict[str, Any]] = {
    "two_stage": {"stage1_share": 0.1, "stage1_lr": 0.2},
    "features_first": {"term": "boundary"},
    "rewound": {"of": 240},
}


@pytest.mark.parametrize("name", sorted({*recipes()} - {AS_IS}))
@pytest.mark.parametrize("epochs", [2, 3, 10, 41, 240])
def test_the_phases_take_the_whole_budget(name: str, epochs: int) -> None:
    phases = make_phases({"recipe": name, **OPTIONS.get(name, {})}, epochs=epochs, lr=0.1)
    assert sum(phase.epochs for phase in phases) == epochs
    assert all(phase.epochs >= 1 for phase in phases)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("epochs", [2, 3, 10, 100])
def test_both_stages_have_at_least_one_epoch(share: float, epochs: int) -> None:
    entry = {"recipe": "two_stage", "stage1_share": share, "stage1_lr": 0.2}
    first, second = make_phases(entry, epochs=epochs, lr=0.1)
    assert first.epochs >= 1
    assert second.epochs >= 1
    assert abs(first.epochs - share * epochs) <= 1


def test_the_stages_have_their_own_rates_and_parts() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.1, "stage1_lr": 0.2}
    assert make_phases(entry, epochs=125, lr=0.1) == [
        Phase("stabilise", 12, 0.2, trains=("classifier", "method")),
        Phase("distil", 113, 0.1),
    ]


def test_the_classifier_may_learn_from_labels_alone() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.1}
    first, second = make_phases({**entry, "stage1_labels": True}, epochs=10, lr=0.1)
    plain, same = make_phases(entry, epochs=10, lr=0.1)
    assert first == replace(plain, weights={"ce": 1.0})
    assert second == same


def test_features_move_more_slowly_than_the_classifier() -> None:
    [phase] = make_phases({"recipe": "discriminative", "backbone": 0.25}, epochs=3, lr=0.1)
    parts = ["stem", "stage1", "classifier", "method.regressor"]
    slow, full = dict.fromkeys(parts[:2], 0.25), dict.fromkeys(parts[2:], 1.0)
    assert phase.factors(parts) == slow | full
    with pytest.raises(UserError, match=r"^backbone: 2 is out of range"):
        make_phases({"recipe": "discriminative", "backbone": 2.0}, epochs=3, lr=0.1)


def test_batch_norm_stands_still_first_on_one_schedule() -> None:
    entry = {"recipe": "still_batch_norm", "share": 0.5}
    student, phases = network(), make_phases(entry, epochs=4, lr=0.1)
    rows = make_trainer(student, task_data(16), phases, schedule="cosine").run()
    whole = make_trainer(network(), task_data(16), [Phase("train", 4, 0.1)], schedule="cosine")
    assert [row["lr"] for row in rows] == [row["lr"] for row in whole.run()]
    assert not statistics(network()) & trained(network(), phases[:1])
    assert statistics(network()) <= trained(network(), phases)
    with pytest.raises(UserError, match=r"^share: 1\.5 is out of range"):
        make_phases({**entry, "share": 1.5}, epochs=4, lr=0.1)


def test_the_rate_warms_up() -> None:
    history = make_trainer(network(), task_data(16), [Phase("train", 4, 0.1)], warm_up=0.5).run()
    plain = make_trainer(network(), task_data(16), [Phase("train", 4, 0.1)]).run()
    ratios = [a["lr"] / b["lr"] for a, b in zip(history, plain, strict=True)]
    steps = 4 * 2 * 0.5  # two steps an epoch; a row has its last one
    assert ratios == pytest.approx([2 / (steps + 1), 4 / (steps + 1), 1, 1])


def test_batch_norm_is_estimated_first_beyond_the_budget_on_request() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.1, "stage1_lr": 0.2}
    estimate, *stages = make_phases({**entry, "estimate_first": 2}, epochs=125, lr=0.1)
    assert stages == make_phases(entry, epochs=125, lr=0.1)
    assert isinstance(estimate, BatchNormPhase)
    assert estimate.epochs == 2
    with pytest.raises(UserError, match="estimate_first"):
        make_phases({**entry, "estimate_first": -1}, epochs=125, lr=0.1)


def test_stage_one_stands_on_batch_norm_that_has_seen_the_images() -> None:
    """Each batch weighs the same, and no weight moves."""
    entry = {"recipe": "two_stage", "stage1_share": 0.5, "estimate_first": 1}
    estimate, first, _ = make_phases(entry, epochs=4, lr=0.1)
    student, data = network(), task_data(16)
    assert trained(student, [estimate, first], crop=0) == {
        *(name for name in student.state_dict() if "running" in name or "tracked" in name),
        *("classifier.weight", "classifier.bias"),
    }
    with torch.no_grad():
        raw = network().stem[0](data.normalise(data.train.images))
    assert torch.allclose(student.stem[1].running_mean, raw.mean((0, 2, 3)), atol=1e-5)


def test_the_estimate_has_a_row_of_the_history_like_any_epoch() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.5, "estimate_first": 1}
    phases = make_phases(entry, epochs=4, lr=0.1)
    rows = make_trainer(network(), task_data(16), phases).run()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["phase"] for row in rows] == ["estimate", *["stabilise"] * 2, *["distil"] * 2]


def test_a_phase_says_whether_parts_move() -> None:
    backbone = ["stem", "stage1"]
    assert Phase("train", 1, 0.1).moves(backbone)
    assert Phase("train", 1, 0.1, trains=("network",)).moves(backbone)
    assert Phase("hint", 1, 0.1, trains=("stem", "method.regressor")).moves(backbone)
    assert not Phase("stabilise", 1, 0.1, trains=("classifier", "method")).moves(backbone)
    assert not Phase("train", 1, 0.1, trains={"network": 0.0, "classifier": 1.0}).moves(backbone)
    assert Phase("train", 1, 0.1, trains={"network": 0.0, "stem": 1.0}).moves(backbone)
    assert not BatchNormPhase("reestimate", 1, 0.1).moves(backbone)


def test_the_hint_is_learnt_first_and_alone() -> None:
    guided = ("stem", "stage1", "stage2", "method.regressor")
    assert make_phases({"recipe": "hint_first"}, epochs=240, lr=0.1) == [
        Phase("hint", 30, 0.1, trains=guided, weights={"hint": 100.0}, schedule="constant"),
        Phase("train", 210, 0.1, trains=("network",)),
    ]
    shallow = make_phases({"recipe": "hint_first", "hint": 0, "hint_share": 0.5}, epochs=4, lr=0.1)
    assert shallow[0].trains == ("stem", "method.regressor")
    assert [phase.epochs for phase in shallow] == [2, 2]


@pytest.mark.parametrize(("epochs", "start"), [(4, 6), (10, 0), (12, 0)])
def test_a_rewound_rate_is_that_of_the_last_epochs(epochs: int, start: int) -> None:
    """Of the whole schedule, where it is shorter than what is left."""
    [phase] = make_phases({"recipe": "rewound", "of": 10}, epochs=epochs, lr=0.1)
    rows = make_trainer(network(), task_data(16), [phase]).run()
    whole = make_trainer(network(), task_data(16), [Phase("train", start + epochs, 0.1)]).run()
    assert [row["lr"] for row in rows] == [row["lr"] for row in whole[start:]]
    with pytest.raises(UserError, match=r"^of: 0 is out of range"):
        make_phases({"recipe": "rewound", "of": 0}, epochs=4, lr=0.1)


def test_features_learn_one_term_first() -> None:
    entry = {"recipe": "features_first", "term": "flow"}
    trains = ("stem", "stages", "method")
    assert make_phases(entry, epochs=240, lr=0.1) == [
        Phase("flow", 30, 0.1, trains=trains, weights={"flow": 1.0}, schedule="constant"),
        Phase("train", 210, 0.1, trains=("network",)),
    ]
    first, _ = make_phases({**entry, "weight": 0.5, "share": 0.25}, epochs=4, lr=0.1)
    assert (first.epochs, first.weights) == (1, {"flow": 0.5})
    parts = ["stem", "stage1", "stage2", "neck", "classifier", "exits.1", "method.connectors"]
    assert [*first.factors(parts)] == ["stem", "stage1", "stage2", "method.connectors"]
    with pytest.raises(UserError, match=r"^share: 1\.5 is out of range"):
        make_phases({**entry, "share": 1.5}, epochs=4, lr=0.1)
    with pytest.raises(UserError, match=r"^weight: 0 is out of range"):
        make_phases({**entry, "weight": 0.0}, epochs=4, lr=0.1)


def test_the_network_is_all_but_the_methods_parts() -> None:
    parts = ["stem", "stage1", "classifier", "exits.1", "method.regressor"]
    moving = Phase("train", 1, 0.1, trains={"network": 0.5, "classifier": 1.0}).factors(parts)
    assert moving == {"stem": 0.5, "stage1": 0.5, "classifier": 1.0, "exits.1": 0.5}


def trained(student: Network, phases: list[Phase], method: str = "ce", crop: int = 1) -> set[str]:
    """Names of parameters and statistics that training moves."""
    before = copied(student)
    trainer = make_trainer(student, task_data(16), phases, method=make(method, student), crop=crop)
    trainer.run()
    return changed(before, student)


def part(name: str, parts: set[str]) -> bool:
    return any(name.startswith(f"{each}.") for each in parts)


@pytest.mark.parametrize("family", ["resnet8", "vgg8"])
def test_stage_one_leaves_the_backbone_alone(family: str) -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.5, "stage1_lr": 0.2}
    first, _ = make_phases(entry, epochs=6, lr=0.1)
    assert trained(network(family), [first]) == {"classifier.weight", "classifier.bias"}


def test_stage_one_leaves_batch_norm_alone_after_a_phase_that_moved_it() -> None:
    student = network()
    trained(student, [Phase("train", 2, 0.1)])
    moved = trained(student, [Phase("stabilise", 2, 0.1, trains=("classifier", "method"))])
    assert moved == {"classifier.weight", "classifier.bias"}


def test_stage_two_moves_everything() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.5, "stage1_lr": 0.2}
    student = network()
    assert trained(student, make_phases(entry, epochs=4, lr=0.1)) == set(student.state_dict())


@pytest.mark.parametrize("family", ["resnet8", "vgg8"])
def test_frozen_backbone_leaves_the_whole_backbone_alone(family: str) -> None:
    student = network(family, exits="sepatt")
    phases = make_phases({"recipe": "frozen_backbone"}, epochs=3, lr=0.1)
    moved = trained(student, phases, "exits_ce")
    assert moved == {name for name in student.state_dict() if name.startswith("exits.")}


def statistics(student: Network) -> set[str]:
    return {n for n in student.state_dict() if "running_" in n or "num_batches" in n}


def test_reestimation_moves_nothing_but_statistics() -> None:
    student = network()
    trained(student, [Phase("train", 1, 0.1)])
    phases = make_phases({"recipe": "reestimate_batch_norm"}, epochs=3, lr=0.1)
    assert trained(student, phases) == statistics(student)


def test_reestimated_statistics_are_the_average_over_all_batches() -> None:
    student = network()
    with torch.no_grad():
        for name, buffer in student.named_buffers():
            if "running_" in name:
                buffer.add_(50)  # what was there before must not count
    phases = [BatchNormPhase("reestimate", 2, 0.1)]
    trainer = make_trainer(student, task_data(16), phases, batch_size=8)
    trainer.run()
    stem = student.get_submodule("stem")
    outputs: list[Tensor] = [
        stem.get_submodule("0")(batch.images)
        for epoch in range(2)
        for batch in trainer.batches.epoch(epoch)
    ]
    means = torch.stack([output.mean((0, 2, 3)) for output in outputs])
    variances = torch.stack([output.var((0, 2, 3)) for output in outputs])
    norm = stem.get_submodule("1")
    assert torch.allclose(norm.get_buffer("running_mean"), means.mean(0), atol=1e-5)
    assert torch.allclose(norm.get_buffer("running_var"), variances.mean(0), rtol=1e-4)
    assert norm.get_buffer("num_batches_tracked").item() == 4


def test_training_after_a_reestimation_uses_running_averages_again() -> None:
    student = network()
    trained(student, [BatchNormPhase("reestimate", 1, 0.1)])
    trained(student, [Phase("train", 1, 0.1)])
    norms = [m for m in student.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_every_phase_starts_with_a_new_optimiser() -> None:
    data, phase = task_data(16), Phase("train", 2, 0.1)
    twice, again = network(), network()
    make_trainer(twice, data, [phase, Phase("more", 2, 0.1)], schedule="constant").run()
    first = make_trainer(again, data, [phase], schedule="constant")
    first.run()
    second = make_trainer(again, data, [Phase("more", 2, 0.1)], schedule="constant")
    second.at.epoch = 2  # the same images and views as the second phase sees
    second.phases = [Phase("more", 2, 0.1)]
    second.run()
    assert changed(copied(twice), again) == set()


def test_the_learning_rate_follows_the_schedule_of_its_phase(tmp_path: Path) -> None:
    phases = [Phase("one", 2, 0.4, trains=("classifier", "method")), Phase("two", 2, 0.1)]
    history = make_trainer(network(), task_data(16), phases, schedule="cosine").run()
    assert [row["phase"] for row in history] == ["one", "one", "two", "two"]
    # the last step of the first of two epochs of two steps: a quarter of the phase is done
    assert history[0]["lr"] == pytest.approx(0.4 * 0.85355339)
    assert history[2]["lr"] == pytest.approx(0.1 * 0.85355339)
    assert csv_text(history).startswith("epoch,phase,lr,train_loss")


def test_a_part_that_the_network_lacks_is_named() -> None:
    trainer = make_trainer(network(), task_data(16), [Phase("exits", 1, 0.1, trains=("exits",))])
    with pytest.raises(UserError, match=r"phase 'exits' trains \('exits',\), and neither"):
        trainer.run()


def test_a_part_that_nothing_has_is_named_with_those_that_there_are() -> None:
    trainer = make_trainer(network(), task_data(16), [Phase("odd", 1, 0.1, trains=("stage9",))])
    with pytest.raises(UserError, match=r"phase 'odd' trains 'stage9'.*stem, stage1.*classifier"):
        trainer.run()


def test_a_single_exit_trains_what_leads_to_it_and_nothing_deeper_runs() -> None:
    student = network(exits="sepatt")
    parts = ("stem", "stage1", "exits.1")
    moved = trained(student, [Phase("first", 2, 0.1, trains=parts)], "exits_ce")
    assert all(part(name, {"exits.0", *(f"backbone.{p}" for p in parts)}) for name in moved)
    assert {name for name in moved if name.startswith("backbone.stage1.")}
    assert not {name for name in moved if "stage2" in name or "stage3" in name}
    student.run_to(1)
    assert len(student(torch.zeros(2, 1, 8, 8)).exits) == 1
    student.run_to(None)
    assert len(student(torch.zeros(2, 1, 8, 8)).exits) == 3


def test_a_mapping_scales_rates() -> None:
    def distance(phase: Phase) -> dict[str, float]:
        student = network(seed=3)
        before = copied(student)
        make_trainer(student, task_data(16), [phase], momentum=0.0, weight_decay=0.0).run()
        moved = {n: (t - before[n]).norm().item() for n, t in student.named_parameters()}
        return {
            p: sum(v for n, v in moved.items() if n.startswith(p)) for p in ("stem", "classifier")
        }

    rates = {"stem": 0.0, "stage1": 0.0, "stage2": 0.0, "stage3": 0.0, "classifier": 1.0}
    assert distance(Phase("head", 1, 0.01, trains=rates))["stem"] == 0
    assert distance(Phase("head", 1, 0.01, trains=rates))["classifier"] > 0


def test_a_phase_has_its_own_schedule() -> None:
    phases = [Phase("still", 2, 0.1, schedule="constant"), Phase("falls", 2, 0.1)]
    rows = make_trainer(network(), task_data(16), phases).run()
    assert [row["lr"] for row in rows][:2] == [0.1, 0.1]
    assert rows[3]["lr"] < 0.05


def test_frozen_batch_norm_stands_still_while_weights_move() -> None:
    moved = trained(network(), [Phase("train", 2, 0.1, freeze_batch_norm=True)])
    assert not {name for name in moved if "running" in name}
    assert {name for name in moved if name.startswith("stem.")}
