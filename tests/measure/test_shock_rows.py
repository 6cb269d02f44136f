"""When a probe looks: the clock, its first and last rows, and what a kill leaves."""

from pathlib import Path

import pytest
from helpers import make_trainer, network, task_data
from probes import moment, probe, watched

from stagewise.measure.shock import EARLY, Clock, Observer, gradient_window, passes_in
from stagewise.recipes.base import BatchNormPhase, Phase, make_phases
from stagewise.training.checkpoint import Checkpoint
from stagewise.training.trainer import OutOfTime

BACKBONE = ("stem", "stage1", "stage2", "stage3")


def test_the_clock_starts_where_the_backbone_may_move_and_starts_once() -> None:
    phases = [
        BatchNormPhase("estimate", 1, 0.1),
        Phase("stabilise", 1, 0.1, trains=("classifier", "method")),
        Phase("hint", 2, 0.1, trains=("stem", "method.regressor")),
        Phase("pause", 1, 0.1, trains={"classifier": 1.0}),
        Phase("train", 1, 0.1),
    ]
    clock = Clock(phases, 2, BACKBONE)
    found = [clock.at(step) for step in range(12)]
    assert found == [None, None, None, None, 0, 1, 2, 3, None, None, 4, 5]
    assert (clock.total, clock.end) == (6, 12)


def test_a_frozen_backbone_has_the_last_row_alone() -> None:
    phases = [Phase("stabilise", 3, 0.1, trains=("classifier",))]
    assert passes_in(phases, 5, BACKBONE) == 2
    student = network()
    watching = watched(student, phases)
    assert [row["step"] for row in watching.rows] == [0]
    assert watching.rows[0]["displacement"] == 0


def test_every_early_and_window_step_has_a_row() -> None:
    watching = probe(network(), images=4, phases=[Phase("train", 325, 0.1)], per_epoch=4)
    for step in range(130):
        watching.before_step(moment(step))
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


def test_stage_one_has_no_rows() -> None:
    phases = [Phase("stabilise", 2, 0.1, trains=("classifier",)), Phase("distil", 2, 0.1)]
    rows = watched(network(), phases).rows
    assert {row["phase"] for row in rows} == {"distil"}
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4]
    assert rows[0]["displacement"] == 0
    assert rows[-1]["displacement"] > 0


def test_estimating_batch_norm_first_does_not_start_the_clock() -> None:
    entry = {"recipe": "two_stage", "stage1_share": 0.5, "estimate_first": 1}
    rows = watched(network(), make_phases(entry, epochs=4, lr=0.1)).rows
    assert {row["phase"] for row in rows} == {"distil"}
    assert rows[0]["step"] == rows[0]["displacement"] == 0
    assert rows[0]["cka_stage3"] == pytest.approx(1, abs=1e-4)
    assert rows[0]["cka_stage3_batch"] == pytest.approx(1, abs=1e-4)


def test_two_phases_that_move_the_backbone_have_one_clock() -> None:
    phases = [Phase("first", 2, 0.1, trains=("stem", "stage1")), Phase("second", 2, 0.1)]
    rows = watched(network(), phases).rows
    assert [row["step"] for row in rows] == [*range(8), 8]
    assert [row["phase"] for row in rows] == [*["first"] * 4, *["second"] * 5]
    assert [row["step"] for row in rows if row["displacement"] == 0] == [0]
    assert rows[4]["cka_stage3"] < 0.9999  # to the start of the first


@pytest.mark.parametrize("stops", [1, 2, 3])
def test_the_clock_goes_on_after_a_kill(tmp_path: Path, stops: int) -> None:
    phases = [
        Phase("stabilise", 1, 0.1, trains=("classifier",)),
        Phase("first", 1, 0.1, trains=("stem",)),
        Phase("second", 2, 0.1),
    ]

    def run(folder: Path, budget: float | None) -> Observer:
        student = network()
        trainer = make_trainer(student, task_data(16), phases)
        watching = probe(student, phases=phases, per_epoch=2)
        trainer.observers, trainer.checkpoint = {"shock": watching}, Checkpoint(folder)
        trainer.deadline = None if budget is None else 0.0
        trainer.run()
        return watching

    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = run(tmp_path / "whole", None).rows
    for _ in range(stops):
        with pytest.raises(OutOfTime):
            run(tmp_path / "killed", 0.0)
    assert run(tmp_path / "killed", None).rows == whole
    assert [row["step"] for row in whole] == [0, 1, 2, 3, 4, 5, 6]


def test_the_forecast_counts_the_passes_of_a_run() -> None:
    phases = [Phase("stabilise", 1, 0.1, trains=("classifier",)), Phase("distil", 40, 0.1)]
    watching = watched(network(), phases, batch_size=4)
    assert 2 * len(watching.rows) == passes_in(phases, 4, network().backbone_parts())
    assert len(watching.rows) < 160
