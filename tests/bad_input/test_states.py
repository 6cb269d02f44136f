"""Training states that are damaged, another run's, or no files: each is discarded in one line, and
training starts anew and ends with the same bytes. Nothing of it is believed, nothing waits."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import FILES, TWO_STAGE, run_spec, train
from safetensors.torch import load_file, save_file

from stagewise.training.checkpoint import Checkpoint, state_folder
from stagewise.training.trainer import OutOfTime

State = tuple[dict[str, torch.Tensor], dict[str, Any]]
SPEC = run_spec(recipe=TWO_STAGE, init="features", observers=["shock"])


@pytest.fixture(scope="module")
def stopped(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, parents: dict[str, Path]
) -> Path:
    """A run of two phases: its state after the last epoch but one, and the whole run."""
    folder = tmp_path_factory.mktemp("stopped")
    for _ in range(2):
        with pytest.raises(OutOfTime):
            train(
                SPEC,
                prepared,
                folder / "out",
                work=folder / "work",
                budget=1e-9,
                init=parents["features"],
            )
    train(SPEC, prepared, folder / "whole", init=parents["features"])
    return folder


@pytest.fixture
def work(stopped: Path, tmp_path: Path) -> Path:
    """A copy of that state."""
    return Path(shutil.copytree(stopped / "work", tmp_path / "work"))


def place(work: Path) -> Path:
    return next(work.glob("*/state.safetensors"))


def ends_well(work: Path, stopped: Path, prepared: Path, parents: dict[str, Path]) -> None:
    """The run ends as the whole one."""
    out = work.with_name("out")
    train(SPEC, prepared, out, work=work, init=parents["features"])
    for name in (*FILES, "shock.csv"):
        assert (out / name).read_bytes() == (stopped / "whole" / name).read_bytes(), name


def rewritten(work: Path, change: Callable[[State], object]) -> None:
    """The state changed by ``change``, under a right checksum."""
    state = Checkpoint(place(work).parent)
    saved = state.load()
    assert saved
    change(saved)
    state.save(*saved)
    state.wait()


def test_the_good_state_is_taken_up(
    work: Path,
    stopped: Path,
    prepared: Path,
    parents: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewritten(work, lambda state: None)
    ends_well(work, stopped, prepared, parents)
    printed = capsys.readouterr().out
    assert "goes on after epoch 2" in printed
    assert "cannot be used" not in printed


LIES: dict[str, tuple[Callable[[State], object], str]] = {
    "no position": (lambda s: s[1].clear(), "lacks a key"),
    "a key too many": (lambda s: s[1].update(code="x"), "one too many"),
    "no place": (lambda s: s[1].update(at=None), "names no epoch"),
    "a list for the place": (lambda s: s[1].update(at=[1, 1, 2]), "names no epoch"),
    "half a place": (lambda s: s[1]["at"].pop("epoch"), "names no epoch"),
    "phase 99": (lambda s: s[1]["at"].update(phase=99), "a phase that there is not"),
    "phase -1": (lambda s: s[1]["at"].update(phase=-1), "a phase that there is not"),
    "another phase": (lambda s: s[1]["at"].update(phase=0), "an epoch that there is not"),
    "text for a number": (lambda s: s[1]["at"].update(epoch="2"), "a phase that there is not"),
    "true for a number": (lambda s: s[1]["at"].update(phase=True), "a phase that there is not"),
    "a later epoch": (lambda s: s[1]["at"].update(epoch=3), "an epoch that there is not"),
    "an epoch beyond": (
        lambda s: s[1]["at"].update(epoch=10**9, epoch_in_phase=10**9 - 1),
        "an epoch that there is not",
    ),
    "no history": (lambda s: s[1].update(history=None), "history is of other epochs"),
    "half a history": (lambda s: s[1]["history"].pop(), "history is of other epochs"),
    "a row of text": (lambda s: s[1]["history"].__setitem__(0, "row"), "history's row 1"),
    "a row without its loss": (
        lambda s: s[1]["history"][1].pop("train_loss"),
        "history's row 2",
    ),
    "words for a loss": (lambda s: s[1]["history"][1].update(ce="low"), "words for numbers"),
    "a list for a loss": (lambda s: s[1]["history"][1].update(ce=[]), "history's row 2"),
    "no time": (lambda s: s[1].update(spent=None), "does not say what it took"),
    "a word for a time": (lambda s: s[1]["spent"].update(seconds="1"), "are no numbers"),
    "a list of times": (lambda s: s[1]["spent"].update(cpu=[]), "by no activity"),
    "another phase's row": (lambda s: s[1]["history"][0].update(phase="x"), "history's row 1"),
    "no observer": (lambda s: s[1].update(observers={}), "observers are others"),
    "a list of observers": (lambda s: s[1].update(observers=["shock"]), "observers are others"),
    "a table of words": (lambda s: s[1].update(observers={"shock": "x"}), "observer's table"),
    "no generator": (lambda s: s[0].pop("rng"), "'rng' is missing"),
    "a small generator": (lambda s: s[0].update(rng=s[0]["rng"][:100]), "'rng' is torch.uint8"),
    "a zero generator": (
        lambda s: s[0].update(rng=torch.zeros_like(s[0]["rng"])),
        "no generator's state",
    ),
    "no velocity": (lambda s: s[0].pop("velocity.0"), "'velocity.0' is missing"),
    "a velocity too many": (
        lambda s: s[0].update({"velocity.999": torch.zeros(1)}),
        "'velocity.999' is missing, or too many",
    ),
    "a long velocity": (
        lambda s: s[0].update({"velocity.0": torch.zeros(10**6)}),
        "'velocity.0' is torch.float32 (1000000,)",
    ),
    "another network": (
        lambda s: [s[0].pop(n) for n in [*s[0]] if n.startswith("network.")],
        "'network.",
    ),
    "a wide layer": (
        lambda s: s[0].update({"network.classifier.bias": torch.zeros(9)}),
        "'network.classifier.bias' is torch.float32 (9,)",
    ),
    "half precision": (
        lambda s: s[0].update(
            {"network.classifier.bias": s[0]["network.classifier.bias"].bfloat16()}
        ),
        "'network.classifier.bias' is torch.bfloat16",
    ),
    "no observation": (
        lambda s: [s[0].pop(n) for n in [*s[0]] if n.startswith("shock.")],
        "'shock.",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_state_that_is_not_this_run_s_is_discarded(
    work: Path,
    stopped: Path,
    prepared: Path,
    parents: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    lie: str,
) -> None:
    change, said = LIES[lie]
    rewritten(work, change)
    ends_well(work, stopped, prepared, parents)
    (line,) = [text for text in capsys.readouterr().out.splitlines() if "starts anew" in text]
    assert "its training state cannot be used" in line
    assert said in line


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def unsigned(path: Path) -> None:
    save_file(load_file(path), path, {"state": json.dumps({"position": "{}"})})


def a_list(path: Path) -> None:
    save_file(load_file(path), path, {"state": "[]"})


def a_folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = [flipped, unsigned, a_list, a_folder, a_pipe, a_device, cut]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_discarded(
    work: Path,
    stopped: Path,
    prepared: Path,
    parents: dict[str, Path],
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
) -> None:
    damage(place(work))
    ends_well(work, stopped, prepared, parents)
    assert capsys.readouterr().out.count("cannot be used") == 1
    assert place(work).is_file()


def test_what_stands_in_the_way_of_folder_and_lock_is_removed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no folder")
    (tmp_path / "other").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "lock")
    with state_folder(tmp_path, "key") as folder:
        assert folder.is_dir()
    assert (tmp_path / "lock").is_file()
    assert not (tmp_path / "other").exists()
