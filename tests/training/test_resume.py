"""A run stopped at any moment goes on from its last epoch and ends with the same bytes."""

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import FILES, KD, ROOT, arms, remedies, run_spec, train

from stagewise.errors import UserError
from stagewise.training import trainer
from stagewise.training.checkpoint import Checkpoint, state_folder
from stagewise.training.trainer import OutOfTime

SCRIPT = ROOT / "scripts/train.py"
ARMS = [
    *("one_stage", "two_stage", "frozen_backbone", "reestimate_batch_norm", "oto", "recovery"),
    *("phased", "frozen_exits", "gauss_seidel", "mixed", "group_sl"),
]
REMEDIES = [
    *("zero_head", "linear_head", "warm_up", "slow_backbone", "clipped", "still_batch_norm"),
    "head_by_labels",
    *("rewound_kd", "two_stage_kd_bn", "scratch_kd", "probed_kd"),
]
BUDGET = {"gauss_seidel": 15, "two_stage_kd_bn": 4}  # batch norm's epoch is beyond the budget
"""Epochs of the arms that are to be stopped after each of five, where it is not 5."""


def files(out: Path) -> dict[str, bytes]:
    """The deterministic files of a run folder."""
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "timing.json"}


def state(work: Path) -> Path | None:
    """The state file of a run, where one was saved."""
    return next(work.glob("*/state.safetensors"), None)


# -- stopped by its time budget, in this process -------------------------------------------------


@pytest.mark.parametrize("arm", [*ARMS, *REMEDIES])
def test_a_run_stopped_after_each_epoch_ends_with_the_same_bytes(
    tmp_path: Path,
    prepared: Path,
    parents: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    arm: str,
) -> None:
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    spec, roles = {**arms(parents), **remedies(parents)}[arm]
    spec["training"] |= {"epochs": BUDGET.get(arm, 5)}
    whole = train(spec, prepared, tmp_path / "whole", **roles).parent
    stops = 0
    for _ in range(10):
        try:
            train(
                spec,
                prepared,
                tmp_path / "stopped",
                work=tmp_path / "work",
                budget=1e-9,
                **roles,
            )
            break
        except OutOfTime:
            stops += 1
            torch.rand(3)  # another process has another generator
    assert stops == 4
    assert files(tmp_path / "stopped") == files(whole)
    assert {*FILES} <= files(whole).keys()


def test_the_time_of_stopped_processes_counts(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    work, spent = tmp_path / "work", [{"seconds": 0.0, "cpu": {"steps": 0.0}}]
    for _ in range(2):
        with pytest.raises(OutOfTime):
            train(run_spec({"epochs": 3}), prepared, tmp_path / "out", work=work, budget=1e-9)
        path = state(work)
        assert path
        loaded = Checkpoint(path.parent).load()
        assert loaded
        spent.append(loaded[1]["spent"])
    train(run_spec({"epochs": 3}), prepared, tmp_path / "out", work=work)
    timing = json.loads((tmp_path / "out/timing.json").read_text())
    spent.append({"seconds": timing["training_seconds"], "cpu": timing["cpu_seconds"]})
    assert timing["total_seconds"] > timing["training_seconds"]
    for before, after in pairwise(spent):
        assert before["seconds"] < after["seconds"]
        assert before["cpu"]["steps"] < after["cpu"]["steps"]


def test_a_finished_run_trains_no_more(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    train(run_spec(), prepared, out, work=work)
    first = files(out)
    for path in out.iterdir():
        path.unlink()
    capsys.readouterr()
    train(run_spec(), prepared, out, work=work)
    assert files(out) == first
    assert "goes on after epoch 3" in capsys.readouterr().out


def test_a_damaged_state_starts_anew(
    tmp_path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, work = tmp_path / "out", tmp_path / "work"
    with pytest.raises(OutOfTime):
        train(run_spec(), prepared, out, work=work, budget=1e-9)
    saved = state(work)
    assert saved is not None
    content = saved.read_bytes()
    whole = files(train(run_spec(), prepared, tmp_path / "whole").parent)
    for damaged in (content[: len(content) // 2], b"", b"no state at all" * 9):
        saved.write_bytes(damaged)
        capsys.readouterr()
        train(run_spec(), prepared, out, work=work)
        assert "goes on" not in capsys.readouterr().out
        assert files(out) == whole


def test_nothing_is_written_before_the_end(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(OutOfTime):
        train(run_spec(), prepared, tmp_path / "out", budget=1e-9)
    assert not (tmp_path / "out").exists()


def test_what_a_killed_process_left_half_written_goes(tmp_path: Path, prepared: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".logits.npz.4711.tmp").write_bytes(b"half")
    train(run_spec(), prepared, out)
    assert {*files(out)} == {*FILES}


# -- the state folder ----------------------------------------------------------------------------


def test_another_process_on_the_same_state_is_refused(tmp_path: Path, prepared: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    holder = (
        "import fcntl, sys\n"
        f"lock = open({str(work / 'lock')!r}, 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"{work}: another process is training this run"):
            train(run_spec(), prepared, tmp_path / "out", work=work)
        process.kill()
    train(run_spec(), prepared, tmp_path / "out", work=work)  # a dead process holds no lock


def test_states_of_older_settings_are_removed(tmp_path: Path, prepared: Path) -> None:
    work = tmp_path / "work"
    train(run_spec(), prepared, tmp_path / "out", work=work)
    before = state(work)
    assert before is not None
    train(run_spec({"lr": 0.01}), prepared, tmp_path / "out", work=work)
    assert not before.exists()
    assert len(list(work.glob("*/state.safetensors"))) == 1


def test_a_state_serves_its_own_settings_code_and_inputs_only(
    tmp_path: Path, prepared: Path, parents: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    spec = run_spec(**KD)
    with pytest.raises(OutOfTime):
        train(spec, prepared, out, work=work, budget=1e-9, teacher=parents["teacher"])
    capsys.readouterr()
    train(spec, prepared, out, work=work, teacher=parents["teacher.exits"])
    assert "goes on" not in capsys.readouterr().out


def test_a_state_keeps_tensors_and_numbers_exactly(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor(7)}
    position = {"epoch": 3, "loss": 0.1 + 0.2, "rows": [{"lr": 1e-17, "missing": None}]}
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.load() is None
    checkpoint.save({"a": torch.zeros(1)}, {})
    checkpoint.save({**tensors, "c": tensors["a"].t()}, position)
    loaded, stated = checkpoint.load() or ({}, {})
    assert stated == position
    assert torch.equal(loaded["a"], tensors["a"])
    assert torch.equal(loaded["c"], tensors["a"].t())
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_the_lock_is_released_when_training_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), state_folder(tmp_path, "key"):
        raise RuntimeError
    with state_folder(tmp_path, "key") as folder:
        assert folder == tmp_path / "key"


# -- killed at any moment, as processes ----------------------------------------------------------


def command(
    spec: dict[str, Any], data: Path, out: Path, work: Path, roles: dict[str, Path], *more: str
) -> list[str]:
    arguments = ["--spec", json.dumps(spec), "--data", str(data), "--out", str(out)]
    arguments += ["--work", str(work), "--device", "cpu", *more]
    for role, path in roles.items():
        arguments += [f"--{role}", str(path)]
    return [sys.executable, str(SCRIPT), *arguments]


def saved_epoch(work: Path) -> int:
    """The epoch that the state of a run has reached; it is whole at any moment."""
    saved = state(work)
    assert saved is not None
    tensors, position = Checkpoint(saved.parent).load() or ({}, {})
    assert any(name.startswith("velocity.") for name in tensors)
    return int(position["at"]["epoch"])


def killed(arguments: list[str], work: Path, delay: float) -> None:
    """Start the script, wait for a new state of it, and ``delay`` seconds later SIGKILL it."""

    def changed() -> int:
        saved = state(work)
        return os.stat(saved).st_mtime_ns if saved else 0

    before = changed()
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:
        seen: float | None = None
        while process.poll() is None and (seen is None or time.monotonic() < seen + delay):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
            if seen is None and changed() != before:
                seen = time.monotonic()
        process.kill()


def epochs_of(
    seconds: float, spec: dict[str, Any], data: Path, folder: Path, roles: dict[str, Path]
) -> int:
    """Epochs that take so much processor time on this machine, measured on short runs."""
    short = {**spec, "training": {**spec["training"], "epochs": 100}, "observers": []}
    taken = []
    for seed in range(2):
        started = time.process_time()
        train({**short, "seed": seed}, data, folder / f"{seed}", **roles)
        taken.append(time.process_time() - started)
    return round(seconds / min(taken) * 100)


def forked(work: Callable[[], object]) -> int:
    """Do ``work`` in a copy of this process; returns its number."""
    number = os.fork()
    if number == 0:
        with suppress(BaseException):
            work()
        os._exit(0)
    return number


@pytest.mark.parametrize("arm", ARMS)
def test_every_recipe_survives_kills_at_random_moments(
    tmp_path: Path,
    prepared: Path,
    parents: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    arm: str,
) -> None:
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)  # a state after every epoch
    spec, roles = arms(parents)[arm]
    spec["training"] |= {"epochs": 40, "evaluate_every": 7}
    started = time.monotonic()
    whole = train(spec, prepared, tmp_path / "whole", **roles).parent
    seconds = time.monotonic() - started
    out, work = tmp_path / "out", tmp_path / "work"

    def go_on() -> None:
        train(spec, prepared, out, work=work, **roles)

    for _ in range(4):
        child = forked(go_on)
        time.sleep(random.uniform(0.1, 0.5) * seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    go_on()
    assert files(out) == files(whole)


@pytest.mark.parametrize(("arm", "kills"), [("two_stage", 1)])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(
    tmp_path: Path, prepared: Path, parents: dict[str, Path], arm: str, kills: int
) -> None:
    spec, roles = arms(parents)[arm]
    for lasting in (2.5, 10.0, 40.0):  # more where it had become faster, and ended before its kill
        folder = tmp_path / f"{lasting:g}"
        epochs = epochs_of(lasting, spec, prepared, folder / "short", roles)  # a state a second
        spec["training"] |= {"epochs": epochs, "evaluate_every": 20}
        out, work = folder / "out", folder / "work"
        arguments = command(spec, prepared, out, work, roles)
        reached = [0]
        while len(reached) <= kills and reached[-1] < 0.6 * epochs:
            killed(arguments, work, random.uniform(0, 0.15))
            reached.append(saved_epoch(work))
        if reached[1] < epochs:
            break
    assert reached == sorted(set(reached))  # each process came further than the one before
    assert reached[1] < epochs
    whole = train(spec, prepared, tmp_path / "whole", **roles).parent
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert f"goes on after epoch {reached[-1]}\n" in done.stdout
    assert files(out) == files(whole)
    assert ("shock.csv" in files(out)) == (arm == "two_stage")


def test_a_spent_budget_has_an_exit_code_of_its_own(
    tmp_path: Path,
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = command(run_spec(), prepared, tmp_path / "out", tmp_path / "work", {})

    def script(*more: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", [*arguments[1:], *more])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return done.value.code

    assert script("--budget", "0.001s") == 75
    assert "the same command goes on" in capsys.readouterr().out
    assert state(tmp_path / "work") is not None
    assert script("--budget", "2h") == 0
    assert "goes on after epoch 1" in capsys.readouterr().out
    assert (tmp_path / "out/record.json").exists()
    assert "'soon' is no time; write 90s, 9m or 2h" in str(script("--budget", "soon"))


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_a_budget_is_read_in_its_unit(text: str, value: float) -> None:
    assert runpy.run_path(str(SCRIPT))["seconds"](text) == value
