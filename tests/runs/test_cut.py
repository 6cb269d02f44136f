"""A run cut at one of its exits: the folder answers as that exit did, and says what it is."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import EXITS_CE, ROOT, arms, loaded, run_spec, toy_data, train

from stagewise.analysis.records.run_files import RunFiles
from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file
from stagewise.models.cost import costs
from stagewise.models.store import load_network
from stagewise.runs.cut import cut_run
from stagewise.training.trainer import predict


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, prepared: Path, parents: dict[str, Path]) -> Path:
    """A student with three exits."""
    spec, roles = arms(parents)["oto"]
    return train(spec, prepared, tmp_path_factory.mktemp("oto") / "run", **roles).parent


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_cut_network_answers_as_its_exit_did(
    tmp_path: Path, run: Path, prepared: Path, number: int
) -> None:
    cut_run(run, number, tmp_path / "cut")
    network, shape = load_network(tmp_path / "cut/model.safetensors")
    assert (shape.cut, shape.exits) == ((0, None) if number == 3 else (number, "sepatt"))
    data = loaded(prepared, "all", "few")
    before = np.load(run / "logits.npz", allow_pickle=False)
    after = np.load(tmp_path / "cut/logits.npz", allow_pickle=False)
    assert set(after) == set(before)
    for name, split in (("validation", data.validation), ("test", data.test)):
        fresh = predict(network, data, split).numpy()
        assert np.array_equal(fresh, before[name][number - 1 : number])
        assert np.array_equal(fresh, after[name])
        assert np.array_equal(after[f"{name}_labels"], before[f"{name}_labels"])


@pytest.mark.parametrize("number", [1, 3])
def test_the_record_is_of_the_cut_network(tmp_path: Path, run: Path, number: int) -> None:
    (cost,) = cut_run(run, number, tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    record, whole = read_json(tmp_path / "cut/record.json"), read_json(run / "record.json")
    network, shape = load_network(weights)
    assert record["costs"] == [cost] == costs(network, shape)
    alone = whole["costs"][number - 1]
    assert (cost["parameters"], cost["macs"]) == (alone["parameters"], alone["macs"])
    assert record["model_sha256"] == sha256_file(weights)
    assert record["file_bytes"] == weights.stat().st_size < whole["file_bytes"]
    assert record["spec"] == whole["spec"]
    assert record["cut"] == {
        "run": str(run),
        "exit": number,
        "stage": f"stage{number}",
        "model_sha256": whole["model_sha256"],
    }
    files = RunFiles(tmp_path / "cut")
    test = files.logits("test")["test"]
    right = test.logits[0].argmax(1) == test.labels
    assert files.record.test_accuracy == pytest.approx(100 * right.mean())
    assert set(files.record.costs) == {"final"}


def test_a_run_with_exits_in_places_is_cut_at_the_numbered_exit(tmp_path: Path) -> None:
    data = toy_data(tmp_path / "prepared", validation=0)
    spec = run_spec(exits="deepcopy", exit_places=[2], **EXITS_CE)
    out = train(spec, data, tmp_path / "run").parent
    cut_run(out, 1, tmp_path / "cut")
    record = read_json(tmp_path / "cut/record.json")
    assert record["cut"]["stage"] == "stage2"
    assert record["final"]["validation_accuracy"] is None
    network, shape = load_network(tmp_path / "cut/model.safetensors")
    assert shape.cut == 2
    seen = loaded(data, "all", "few")
    with np.load(out / "logits.npz", allow_pickle=False) as stored:
        assert np.array_equal(predict(network, seen, seen.test).numpy(), stored["test"][:1])


@pytest.mark.parametrize("number", [0, 4, -1])
def test_an_exit_that_there_is_not_is_refused(tmp_path: Path, run: Path, number: int) -> None:
    with pytest.raises(UserError, match=f"--exit: {number}, but .* exits 1 to 3; choose"):
        cut_run(run, number, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_a_run_without_exits_is_refused(tmp_path: Path, parents: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="has no exits to cut it at; name a run of multi_exit"):
        cut_run(parents["student"].parent, 1, tmp_path / "cut")
    with pytest.raises(UserError, match="no such"):
        cut_run(tmp_path / "none", 1, tmp_path / "cut")


def test_a_cut_is_not_cut_again(tmp_path: Path, run: Path) -> None:
    cut_run(run, 2, tmp_path / "cut")
    with pytest.raises(UserError, match="has no exits to cut it at"):
        cut_run(tmp_path / "cut", 1, tmp_path / "again")


def test_nothing_is_written_over(tmp_path: Path, run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(UserError, match="is there already; name a new folder"):
        cut_run(run, 2, run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_weights_of_another_run_are_refused(
    tmp_path: Path, run: Path, parents: dict[str, Path]
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name in ("record.json", "logits.npz"):
        (mixed / name).write_bytes((run / name).read_bytes())
    (mixed / "model.safetensors").write_bytes(parents["teacher.exits"].read_bytes())
    with pytest.raises(UserError, match="is not the file that the run's record"):
        cut_run(mixed, 1, tmp_path / "cut")


def test_the_script_says_what_it_saved(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cut"
    path = str(ROOT / "scripts/cut.py")
    monkeypatch.setattr(sys, "argv", [path, str(run), "--exit", "2", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(path, run_name="__main__")
    assert not ended.value.code
    (cost,) = read_json(out / "record.json")["costs"]
    assert capsys.readouterr().out == (
        f"{out}: exit 2, {cost['parameters']:,} parameters, {cost['macs']:,} multiply-adds\n"
    )
