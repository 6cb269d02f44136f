"""Exported files answer as the run's network does, and need nothing but themselves."""

import json
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import ROOT, loaded
from PIL import Image

from stagewise.errors import UserError
from stagewise.files import read_json, sha256_file
from stagewise.ship.classifier import load
from stagewise.ship.export import Wanted, export_run
from stagewise.ship.files import KEY
from stagewise.ship.parts import Frame, Scale

BATCH = 2


@dataclass(frozen=True)
class Shipped:
    run: Path
    out: Path
    sheet: dict[str, Any]

    def told(self, name: str) -> dict[str, Any]:
        """The metadata of a file."""
        properties = onnx.load(self.out / name).metadata_props
        (told,) = [json.loads(each.value) for each in properties if each.key == KEY]
        return dict(told)


@pytest.fixture(scope="session", params=["exits", "pruned"])
def shipped(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    prepared: Path,
    runs: dict[str, Path],
) -> Shipped:
    """A run with exits, in eight bits too, and a pruned one whose graph starts from pixels."""
    out = tmp_path_factory.mktemp("ship") / "out"
    exits = request.param == "exits"
    wanted = Wanted(int8=exits, pixels=not exits, repeats=3, batch=BATCH)
    return Shipped(runs[request.param], out, export_run(runs[request.param], out, prepared, wanted))


def test_every_file_in_floats_answers_as_the_network(shipped: Shipped) -> None:
    rows = {row["file"]: row for row in shipped.sheet["files"]}
    assert {"model.pt2", "model.onnx"} <= rows.keys()
    for name, row in rows.items():
        path = shipped.out / name
        assert (row["bytes"], row["sha256"]) == (path.stat().st_size, sha256_file(path))
        if "int8" not in name:
            assert row["same"] == 100
            assert row["difference"] < 1e-4
    for name in ("model.pt2", "model.onnx"):
        expected = read_json(shipped.run / "record.json")["final"]["test_accuracy"]
        assert rows[name]["test_accuracy"] == pytest.approx(expected)


def test_eight_bits_differ_a_little(shipped: Shipped) -> None:
    rows = {row["file"]: row for row in shipped.sheet["files"] if "int8" in row["file"]}
    assert bool(rows) == (shipped.run.name == "teacher.exits")
    for row in rows.values():
        assert 0 < row["difference"] < 1


def test_an_exit_is_a_file_that_goes_on_where_the_one_before_ended(
    shipped: Shipped, prepared: Path
) -> None:
    rows = {row["file"]: row for row in shipped.sheet["files"]}
    logits = np.load(shipped.run / "logits.npz")
    if len(logits["test"]) == 1:
        assert not [name for name in rows if name.startswith("exit")]
        return
    for number, own in enumerate(logits["test"], 1):
        right = 100 * (own.argmax(1) == logits["test_labels"]).mean()
        assert rows[f"exit-{number}.onnx"]["test_accuracy"] == pytest.approx(right)
    for row in shipped.sheet["exits"]["onnx"]:
        shares = np.exp(logits["test"]) / np.exp(logits["test"]).sum(2, keepdims=True)
        sure = shares.max(2) >= row["threshold"]
        sure[-1] = True
        assert row["leave"] == pytest.approx(np.bincount(sure.argmax(0), minlength=3) / len(sure.T))
    assert {row["point"] for row in shipped.sheet["exits"]["onnx"]} >= {"as accurate", "best"}


def test_metadata_tell_all_that_predicting_needs_and_nothing_of_this_machine(
    shipped: Shipped,
) -> None:
    record = read_json(shipped.run / "record.json")
    for path in shipped.out.glob("*.onnx"):
        told = shipped.told(path.name)
        assert told["classes"] == record["classes"]
        assert (told["size"], told["mode"]) == (record["input"]["size"], "L")
        assert (told["mean"], told["std"]) == (record["input"]["mean"], record["input"]["std"])
        content = path.read_bytes()
        assert re.search(rb"[ -~]{9}\.py[ -~]{9}", content) is None  # a line of a traceback
        assert str(ROOT).encode() not in content
    extra = {KEY: ""}
    torch.export.load(shipped.out / "model.pt2", extra_files=extra)
    assert json.loads(extra[KEY]) == shipped.told("model.onnx")


def test_batches_of_any_size_are_taken(shipped: Shipped) -> None:
    batches = {row["batch"] for row in shipped.sheet["latency"]}
    assert batches == {1, BATCH}
    for row in shipped.sheet["latency"]:
        assert 0 < row["low"] <= row["median"] <= row["high"]


def test_the_script_beside_the_files_says_what_the_network_says(
    shipped: Shipped,
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = loaded(prepared).test.images[:5]
    pictures = [str(tmp_path / f"{number}.png") for number in range(5)]
    for image, path in zip(images, pictures, strict=True):
        Image.fromarray(image[0].numpy()).save(path)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["predict.py", *pictures])
    runpy.run_path(str(shipped.out / "predict.py"), run_name="__main__")
    classifier, threshold = load(shipped.run), shipped.told("model.onnx")["threshold"]
    with torch.no_grad():
        features = classifier.network(classifier.normalise(images))
    shares = torch.stack(features.exits or (features.logits,)).softmax(2)
    sure = shares.amax(2) >= threshold
    sure[-1] = True
    leave = sure.int().argmax(0)
    for number, line in enumerate(capsys.readouterr().out.splitlines()):
        row = shares[leave[number], number]
        name = classifier.classes[int(row.argmax())]
        said, percent = line.removeprefix(f"{pictures[number]}: ").removesuffix(" %)").split(" (")
        assert said == name
        assert float(percent) == pytest.approx(100 * float(row.max()), abs=0.06)


def test_the_card_names_files_data_and_weights(shipped: Shipped) -> None:
    text = (shipped.out / "README.md").read_text(encoding="utf-8")
    for row in shipped.sheet["files"]:
        assert f"| `{row['file']}` |" in text
    for key in ("data_sha256", "model_sha256"):
        assert shipped.sheet["run"][key] in text
    assert "not stated" in text


def test_another_folder_is_not_written_over(
    runs: dict[str, Path], prepared: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already, and no export; name a new folder"):
        export_run(runs["plain"], tmp_path, prepared, Wanted())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_data_of_another_study_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "prepared.safetensors"
    other.write_bytes(b"other")
    with pytest.raises(UserError, match=r"--data: .* is not the prepared data of this run"):
        export_run(runs["plain"], tmp_path / "out", other, Wanted())
    with pytest.raises(UserError, match="--data: none above"):
        export_run(runs["plain"], tmp_path / "out", None, Wanted())
    assert not (tmp_path / "out").exists()


def test_the_script_exports_twice_into_one_folder(
    runs: dict[str, Path],
    prepared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = str(ROOT / "scripts/export.py"), tmp_path / "out"
    out.mkdir()
    for name in ("ship.json", "exit-9.onnx", "note.txt"):
        (out / name).write_text("{}")
    command = [path, str(runs["plain"]), "--data", str(prepared), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*command, "--batch", "1", "--repeats", "1"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(path, run_name="__main__")
    assert not ended.value.code
    assert f"{out / 'model.onnx'}: " in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        *("README.md", "model.onnx", "model.pt2", "note.txt", "predict.py", "ship.json")
    }
    monkeypatch.setattr(sys, "argv", [*command, "--batch", "0"])
    with pytest.raises(SystemExit, match="--batch: 0 is not from 1 to 4,096"):
        runpy.run_path(path, run_name="__main__")


@pytest.mark.parametrize("size", [(40, 23), (23, 40), (30, 30)])
def test_a_cameras_frames_are_scaled_in_the_graph_as_pillow_does(
    size: tuple[int, int], runs: dict[str, Path], prepared: Path, tmp_path: Path
) -> None:
    sheet = export_run(runs["plain"], tmp_path / "out", prepared, Wanted(repeats=1, frame=size))
    [row] = [row for row in sheet["files"] if row["file"] == "frame.onnx"]
    assert row["same"] >= 90
    session = onnxruntime.InferenceSession(tmp_path / "out" / "frame.onnx")
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (4, 1, *size), dtype=np.uint8)
    (found,) = session.run(None, {"images": frames})
    classifier = load(runs["plain"])
    pixels = np.stack([classifier.pixels(frame[0]) for frame in frames])
    by_hand = Frame(*size, pixels.shape[-1], Scale([0.0], [1 / 255]))
    assert np.abs(by_hand(torch.from_numpy(frames)).numpy() - pixels).max() < 1.01
    with torch.inference_mode():
        expected = classifier.network(classifier.normalise(torch.from_numpy(pixels))).answer
    assert np.abs(found - expected.numpy()).max() < 0.1 * expected.std()


@pytest.mark.parametrize("text", ["480", "0x640", "480x", "ax b", "99999x1"])
def test_a_frame_has_a_height_and_a_width(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["export.py", "run", "--frame", text])
    with pytest.raises(SystemExit):
        runpy.run_path(str(ROOT / "scripts/export.py"), run_name="__main__")
