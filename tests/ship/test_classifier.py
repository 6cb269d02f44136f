"""A run's folder alone classifies pictures."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import CLASSES, SIZE, TWO_STAGE, loaded, run_spec, train
from PIL import Image

import stagewise
from stagewise.analysis.records.logits import read_logits
from stagewise.errors import UserError
from stagewise.files import read_json, write_json
from stagewise.ship.classifier import Classifier, Picture, load


@pytest.fixture(scope="module")
def digit() -> "Image.Image":
    """A colour picture that is neither square nor small."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["plain", "exits", "pruned"])
def test_weights_and_record_alone_answer_as_the_run_did(
    tmp_path: Path, runs: dict[str, Path], prepared: Path, kind: str
) -> None:
    for name in ("record.json", "model.safetensors"):
        shutil.copy(runs[kind] / name, tmp_path / name)
    classifier = load(tmp_path)
    images = loaded(prepared).test.images
    found = classifier.probabilities(images)
    logits = torch.from_numpy(read_logits(runs[kind])["test"].logits)
    assert torch.allclose(found, logits.mean(0).softmax(1), atol=1e-6)


def test_two_lines_name_what_a_picture_shows(
    runs: dict[str, Path], prepared: Path, tmp_path: Path
) -> None:
    test = loaded(prepared).test
    for number, image in enumerate(test.images[:3]):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{number}.png")
    network = stagewise.load(runs["plain"])
    answers = network(*sorted(tmp_path.iterdir()))
    assert isinstance(network, Classifier)
    for answer, row in zip(answers, network.probabilities(test.images[:3]), strict=True):
        assert [*answer.values()] == sorted(row.tolist(), reverse=True)
        assert next(iter(answer)) == f"class {int(row.argmax())}"
        assert sum(answer.values()) == pytest.approx(1)
        assert len(answer) == CLASSES


def test_a_picture_may_be_given_in_any_form(
    runs: dict[str, Path], digit: "Image.Image", tmp_path: Path
) -> None:
    digit.save(tmp_path / "digit.png")
    stored = (tmp_path / "digit.png").read_bytes()
    opened = Image.open(io.BytesIO(stored))
    given: list[Picture] = [
        tmp_path / "digit.png",
        str(tmp_path / "digit.png"),
        stored,
        opened,
        np.array(digit),
    ]
    first, *others = load(runs["plain"])(*given)
    assert all(other == first for other in others)


def test_colour_networks_take_grey_pictures(runs: dict[str, Path]) -> None:
    classifier = load(runs["plain"])
    assert classifier.pixels(np.zeros((9, 9), np.uint8)).shape == (1, SIZE, SIZE)


def test_a_file_that_is_no_picture_is_named(runs: dict[str, Path], tmp_path: Path) -> None:
    classifier = load(runs["plain"])
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(UserError, match=r"words\.png: cannot be read as an image"):
        classifier(tmp_path / "words.png")
    with pytest.raises(UserError, match=r"none\.png: cannot be read"):
        classifier(tmp_path / "none.png")
    with pytest.raises(UserError, match="a picture given as bytes: cannot be read"):
        classifier(b"words")


def changed(run: Path, to: Path, **changes: object) -> Path:
    """A copy of a run whose record says something else; None leaves a key out."""
    shutil.copytree(run, to)
    record = {**read_json(run / "record.json"), **changes}
    write_json(to / "record.json", {k: v for k, v in record.items() if v is not None})
    return to


def test_a_record_that_does_not_fit_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    taken = read_json(runs["plain"] / "record.json")["input"]
    bad: dict[str, dict[str, object]] = {
        "does not say how pictures are normalised": {"input": None},
        "of other .classes, channels, pixels.": {"input": {**taken, "size": 9}},
        "of other .classes": {"input": {**taken, "mean": [0.1, 0.2]}},
        "is no record .input.std": {"input": {**taken, "std": [0]}},
        "of other": {"classes": ["a", "b", "c"]},
        "is no record .input": {"input": {**taken, "channels": True}},
    }
    for number, (said, changes) in enumerate(bad.items()):
        with pytest.raises(UserError, match=said):
            load(changed(runs["plain"], tmp_path / str(number), **changes))


def test_a_folder_that_is_no_whole_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        stagewise.load(tmp_path)
    shutil.copy(runs["plain"] / "record.json", tmp_path)
    with pytest.raises(UserError, match="no such weight file"):
        stagewise.load(tmp_path)
    shutil.copy(runs["exits"] / "model.safetensors", tmp_path)
    with pytest.raises(UserError, match="is not the file that the run's record"):
        stagewise.load(tmp_path)


def test_the_weight_file_is_as_it_was(tmp_path: Path, prepared: Path) -> None:
    """What the record gained stands in no weight file: its only metadata is the architecture."""
    path = train(run_spec(recipe=TWO_STAGE), prepared, tmp_path / "run")
    with open(path, "rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    assert [*header["__metadata__"]] == ["architecture"]
