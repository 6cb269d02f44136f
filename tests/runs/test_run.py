"""A run folder: what it holds, and that two equal runs leave the same bytes."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CPU, EXITS_CE, FILES, KD, TWO_STAGE, arms, loaded, run_spec, toy_data, train
from torch import equal

from stagewise.catalogue import method_weights
from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file
from stagewise.models.cost import total_macs
from stagewise.models.store import load_architecture, load_network
from stagewise.training.trainer import Diverged, predict

Arms = dict[str, tuple[dict[str, Any], dict[str, Path]]]


@pytest.fixture(scope="module")
def named(parents: dict[str, Path]) -> Arms:
    return arms(parents)


def files(out: Path) -> dict[str, bytes]:
    """The deterministic files of a run folder."""
    names = [*FILES, "shock.csv"] if (out / "shock.csv").exists() else list(FILES)
    return {name: (out / name).read_bytes() for name in names}


ARMS = ["one_stage", "two_stage", "frozen_backbone", "reestimate_batch_norm", "oto"]


@pytest.mark.parametrize("arm", ARMS)
def test_two_equal_runs_leave_the_same_bytes(
    tmp_path: Path, prepared: Path, named: Arms, arm: str
) -> None:
    spec, roles = named[arm]
    first = train(spec, prepared, tmp_path / "first", **roles).parent
    second = train(spec, prepared, tmp_path / "second", **roles).parent
    assert files(first) == files(second)
    assert {path.name for path in first.iterdir()} == {*files(first), "timing.json"}
    assert ("shock.csv" in files(first)) == bool(spec.get("observers"))


def test_what_an_earlier_run_observed_does_not_stay(
    tmp_path: Path, prepared: Path, named: Arms
) -> None:
    """A study that stops observing a run makes it anew in the same folder."""
    spec, roles = named["two_stage"]
    observed = train({**spec, "observers": ["shock"]}, prepared, tmp_path / "run", **roles).parent
    assert (observed / "shock.csv").exists()
    train({**spec, "observers": []}, prepared, observed, **roles)
    assert not (observed / "shock.csv").exists()


def test_another_seed_leaves_other_weights(tmp_path: Path, prepared: Path, named: Arms) -> None:
    spec, roles = named["one_stage"]
    first = train(spec, prepared, tmp_path / "first", **roles)
    second = train({**spec, "seed": 1}, prepared, tmp_path / "second", **roles)
    assert sha256_file(first) != sha256_file(second)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, prepared: Path, named: Arms
) -> dict[str, Path]:
    """Run folders of all arms."""
    folder = tmp_path_factory.mktemp("finished")
    return {
        arm: train(spec, prepared, folder / arm, **roles).parent
        for arm, (spec, roles) in named.items()
    }


@pytest.mark.parametrize("arm", ARMS)
def test_the_record_is_of_this_run(
    finished: dict[str, Path], prepared: Path, named: Arms, arm: str
) -> None:
    spec, roles = named[arm]
    record = read_json(finished[arm] / "record.json")
    weights = finished[arm] / "model.safetensors"
    network, shape = load_network(weights)
    assert record["spec"] == spec
    assert record["data_sha256"] == sha256_file(prepared)
    assert record["model_sha256"] == sha256_file(weights)
    assert record["file_bytes"] == weights.stat().st_size
    assert record["parents"].keys() == roles.keys()
    for role, path in roles.items():
        assert record["parents"][role]["sha256"] == sha256_file(path)
    assert record["costs"][-1]["macs"] == total_macs(network, shape)
    assert record["costs"][-1]["parameters"] == sum(p.numel() for p in network.parameters())
    assert record["protocol"]["selection"] == "last epoch"
    assert record["protocol"]["epochs"] == spec["training"]["epochs"]
    assert record["protocol"]["training_macs"] > 0
    assert (record["protocol"]["teacher_macs"] > 0) == ("teacher" in roles)
    assert record["classes"] == loaded(prepared, spec["data"]["task"]).classes


@pytest.mark.parametrize("arm", ARMS)
def test_logits_are_those_of_the_weights_on_disk(
    finished: dict[str, Path], prepared: Path, named: Arms, arm: str
) -> None:
    spec, _ = named[arm]
    network, _ = load_network(finished[arm] / "model.safetensors")
    data = loaded(prepared, spec["data"]["task"], spec["data"]["images"])
    record = read_json(finished[arm] / "record.json")
    with np.load(finished[arm] / "logits.npz", allow_pickle=False) as stored:
        assert set(stored) == {"validation", "validation_labels", "test", "test_labels"}
        for name, split in (("validation", data.validation), ("test", data.test)):
            logits = predict(network.to(CPU), data, split).numpy()
            assert np.array_equal(stored[name], logits)
            assert np.array_equal(stored[f"{name}_labels"], split.labels.numpy())
            right = stored[name].mean(0).argmax(1) == stored[f"{name}_labels"]
            assert record["final"][f"{name}_accuracy"] == pytest.approx(100 * right.mean())


@pytest.mark.parametrize("arm", ARMS)
def test_the_history_has_a_row_an_epoch(finished: dict[str, Path], named: Arms, arm: str) -> None:
    spec, _ = named[arm]
    with open(finished[arm] / "history.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    epochs = spec["training"]["epochs"]
    assert [row["epoch"] for row in rows] == [str(n + 1) for n in range(epochs)]
    assert set(method_weights(spec["method"]["method"])) <= rows[0].keys()
    assert rows[0]["validation_accuracy"] == ""  # every second epoch, and the last
    assert rows[-1]["validation_accuracy"] != ""
    final = read_json(finished[arm] / "record.json")["final"]
    assert float(rows[-1]["train_loss"]) == final["train_loss"]
    assert float(rows[-1]["validation_accuracy"]) == pytest.approx(
        final["validation_accuracy"], rel=1e-6
    )


def test_without_validation_a_run_is_judged_on_test_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = toy_data(tmp_path / "prepared", validation=0)
    out = train(run_spec(exits="sepatt", **EXITS_CE), data, tmp_path / "run").parent
    with open(out / "history.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["validation_accuracy"] + row["validation_loss"] for row in rows} == {""}
    final = read_json(out / "record.json")["final"]
    assert final["validation_accuracy"] is None
    assert 0 <= final["test_accuracy"] <= 100
    with np.load(out / "logits.npz", allow_pickle=False) as stored:
        assert set(stored) == {"test", "test_labels"}
    lines = capsys.readouterr().out.splitlines()
    for row, line in zip(rows[1:], lines, strict=True):  # every second epoch, and the last
        assert f"  train {float(row['train_accuracy']):.2f} %" in line


def test_the_shock_table_starts_where_the_backbone_starts_to_move(
    finished: dict[str, Path],
) -> None:
    with open(finished["two_stage"] / "shock.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["step"] == "0"
    assert float(rows[0]["displacement"]) == 0
    assert float(rows[-1]["displacement"]) > 0
    assert {row["phase"] for row in rows} == {"distil"}


def test_a_two_stage_student_starts_from_its_parents_features(
    tmp_path: Path, prepared: Path, named: Arms
) -> None:
    spec, roles = named["two_stage"]
    frozen = {**spec, "recipe": {**TWO_STAGE, "stage1_share": 0.99}}
    frozen["training"] = {**spec["training"], "lr": 1e-30, "weight_decay": 0.0}
    student, _ = load_network(train(frozen, prepared, tmp_path / "run", **roles))
    parent, _ = load_network(roles["init"])
    weights = dict(parent.named_parameters())
    for name, p in student.named_parameters():
        assert equal(p, weights[name]) != name.startswith("classifier."), name


def test_exits_of_a_teacher_leave_its_own_answer_alone(
    finished: dict[str, Path], parents: dict[str, Path]
) -> None:
    with np.load(finished["frozen_backbone"] / "logits.npz") as stored:
        assert stored["test"].shape[0] == 3
        last = stored["test"][-1]
    with np.load(parents["teacher"].parent / "logits.npz") as stored:
        assert np.array_equal(stored["test"][0], last)


def test_the_pruned_shape_from_scratch_has_new_weights(
    tmp_path: Path, prepared: Path, parents: dict[str, Path]
) -> None:
    tiny = {"lr": 1e-30, "weight_decay": 0.0}
    spec = run_spec(init="shape", training=tiny, seed=0)
    scratch = train(run_spec(training=tiny, seed=0), prepared, tmp_path / "scratch")
    shaped = train(spec, prepared, tmp_path / "shaped", init=parents["student"])
    assert load_architecture(shaped) == load_architecture(scratch)
    first, second = (load_network(path)[0].state_dict() for path in (shaped, scratch))
    assert all(equal(tensor, second[name]) for name, tensor in first.items())


def test_a_teacher_that_does_not_fit_leaves_no_run(
    tmp_path: Path, prepared: Path, parents: dict[str, Path]
) -> None:
    with pytest.raises(UserError, match="do not fit"):
        train(run_spec(**KD), prepared, tmp_path / "out", teacher=parents["teacher.target"])
    assert not (tmp_path / "out").exists()


def test_a_missing_parent_is_named(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.safetensors: no such weight file"):
        train(run_spec(**KD), prepared, tmp_path / "out", teacher=tmp_path / "absent.safetensors")


def test_the_thread_count_of_the_spec_is_used(tmp_path: Path, prepared: Path) -> None:
    import torch

    torch.set_num_threads(2)
    train(run_spec(), prepared, tmp_path / "out")
    assert torch.get_num_threads() == 1


HOT = {"lr": 1e20, "epochs": 50}


def test_a_run_may_end_where_it_diverges(tmp_path: Path, prepared: Path) -> None:
    spec = run_spec(HOT, divergence="ends")
    out = train(spec, prepared, tmp_path / "hot").parent
    record = read_json(out / "record.json")
    assert record["protocol"]["diverged"]
    assert record["protocol"]["epochs"] < 50
    assert record["final"]["train_loss"] is None
    assert record["spec"]["divergence"] == "ends"
    logits = np.load(out / "logits.npz")["test"]
    assert logits.shape[1] == len(loaded(prepared).test.labels)


def test_else_divergence_fails_the_run(tmp_path: Path, prepared: Path) -> None:
    with pytest.raises(Diverged, match="lower it"):
        train(run_spec(HOT), prepared, tmp_path / "hot")
    assert not (tmp_path / "hot/record.json").exists()


def test_another_draw_is_of_other_images(tmp_path: Path, prepared: Path) -> None:
    data = {"task": "all", "images": "few"}
    first = train(run_spec(data=data), prepared, tmp_path / "first")
    same = train(run_spec(data={**data, "draw": 0}), prepared, tmp_path / "same")
    other = train(run_spec(data={**data, "draw": 1}), prepared, tmp_path / "other")
    assert sha256_file(first) == sha256_file(same) != sha256_file(other)
