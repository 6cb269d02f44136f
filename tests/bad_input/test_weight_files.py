"""Weight files: of a false architecture, malformed, cut short, of another kind, hostile."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from damaged import Trap, refused
from safetensors.torch import load_file, save_file

from stagewise.models import store
from stagewise.models.store import load_network
from stagewise.training.checkpoint import Checkpoint


def restated(path: Path, **changes: Any) -> Path:
    """The same weights under another stated architecture."""
    stated = {**vars(store.load_architecture(path)), **changes}
    save_file(load_file(path), path, {"architecture": json.dumps(stated)})
    return path


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"options": {"width": 10**9}}, "options.width: 1000000000"),
        ({"options": {"width": 1024}}, "stem.0.weight' has shape"),
        ({"options": {"width": 0}}, "options.width: 0"),
        ({"options": {"width": "4"}}, "options.width: '4'"),
        ({"options": {"width": 4.0}}, "options.width: 4.0"),
        ({"options": [4]}, "options: [4]"),
        ({"options": {"depth": 3}}, "depth"),
        ({"classes": 10**12}, "classes: 1000000000000"),
        ({"classes": 99_999}, "classifier.weight' has shape"),
        ({"classes": True}, "classes: True"),
        ({"classes": -1}, "classes: -1"),
        ({"channels": 10**6}, "channels: 1000000"),
        ({"image_size": 10**6}, "image_size: 1000000"),
        ({"image_size": None}, "image_size: None"),
        ({"network": "resnet9"}, "unknown network 'resnet9'"),
        ({"network": "../../../tmp/evil"}, "unknown network '../../../tmp/evil'"),
        ({"network": "os.path"}, "unknown network 'os.path'"),
        ({"network": ["resnet8"]}, "network: ['resnet8'] is no name"),
        ({"network": "resnet14"}, "do not fit"),
        ({"network": "vgg8"}, "do not fit"),
        ({"exits": "linear"}, "do not fit"),
        ({"exits": 5}, "exits: 5 is no name"),
        ({"exits": "os"}, "do not fit"),
        ({"places": [1]}, "places: [1], but there are no exits"),
        ({"places": 1}, "places: 1 are no numbers"),
        ({"places": ["1"]}, "places: ['1'] are no numbers"),
        ({"cut": 1}, "do not fit"),
        ({"cut": -1}, "cut: -1 is no number"),
        ({"cut": "1"}, "cut: '1' is no number"),
        ({"cut": True}, "cut: True is no number"),
        ({"code": "import os"}, "code"),
        ({"pruned": "stem.0"}, "pruned: 's' is no"),
        ({"pruned": 5}, "do not fit"),
        ({"pruned": [["stem.0", True]]}, "is no [layer"),
        ({"pruned": [["none.such", True, [0]]]}, "no layer 'none.such'"),
        ({"pruned": [["forward.__globals__", True, [0]]]}, "no layer 'forward"),
        ({"pruned": [[7, True, [0]]]}, "is no [layer"),
        ({"pruned": [["stem.0", "yes", [0]]]}, "is no [layer"),
        ({"pruned": [["stem.0", True, 0]]}, "is no [layer"),
        ({"pruned": [["stem.0", True, []]]}, "is no [layer"),
        ({"pruned": [["stem.0", True, [0, 0]]]}, "is no [layer"),
        ({"pruned": [["stem.0", True, [True]]]}, "is no [layer"),
        ({"pruned": [["stem.0", True, [4]]]}, "among 4 channels"),
        ({"pruned": [["stem.0", True, [-1]]]}, "among 4 channels"),
        ({"pruned": [["stem.0", True, [0, 1, 2, 3]]]}, "among 4 channels"),
        ({"pruned": [["stem.0", True, [10**30]]]}, "among 4 channels"),
        ({"pruned": [["stem.0", True, [0]]]}, "do not fit"),
        ({"options": {"width": 1024}, "pruned": [["stem.0", True, [0]]]}, "parameters, at most"),
    ],
)
def test_a_false_architecture_is_refused(model: Path, changes: dict[str, Any], part: str) -> None:
    path = restated(model, **changes)
    refused(path, lambda: load_network(path), part)


def test_sizes_are_refused_before_memory_is_taken(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_build(*arguments: object, **options: object) -> None:
        raise AssertionError("built")

    monkeypatch.setattr(store, "build", no_build)
    pruned = {"pruned": [["stem.0", True, [0]]]}
    for changes in (
        *({"options": {"width": 1024}}, {"classes": 99_999}, {"classes": 10**12}),
        {**pruned, "options": {"width": 1024}},  # of 2.7 GiB
        {**pruned, "options": {"width": 256}},  # 20 million parameters for the 5,000 that are there
        {**pruned, "options": {"width": 2}},
        {**pruned, "network": "vgg13"},
    ):
        path = restated(shutil.copy(model, model.with_name("copy")), **changes)
        refused(path, lambda path=path: load_network(path))
    monkeypatch.setattr(store, "LARGEST_TRACE", 10**6)
    path = restated(model, **pruned, image_size=512)
    refused(path, lambda: load_network(path), "made on images that fill")


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON header of a safetensors file, and all that follows it."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(path: Path, stated: Any, data: bytes) -> None:
    text = stated if isinstance(stated, bytes) else json.dumps(stated).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def longer(stated: dict[str, Any]) -> None:
    stated["stem.0.weight"]["data_offsets"][1] += 10**12


def wider(stated: dict[str, Any]) -> None:
    stated["stem.0.weight"]["shape"] = [10**9, 10**9, 3, 3]


def shifted(stated: dict[str, Any]) -> None:
    stated["stem.0.weight"]["data_offsets"] = [0, 4]


def retyped(stated: dict[str, Any]) -> None:
    stated["stem.0.weight"]["dtype"] = "PICKLE"


def other_type(stated: dict[str, Any]) -> None:
    stated["stem.0.weight"]["dtype"] = "I32"


def fewer(stated: dict[str, Any]) -> None:
    del stated["stem.0.weight"]


def nested(stated: dict[str, Any]) -> None:
    stated["__metadata__"]["architecture"] = "[" * 100_000


def untold(stated: dict[str, Any]) -> None:
    del stated["__metadata__"]


@pytest.mark.parametrize(
    "lie", [longer, wider, shifted, retyped, other_type, fewer, nested, untold]
)
def test_a_header_that_lies_is_refused(model: Path, lie: Callable[[Any], None]) -> None:
    stated, data = header(model)
    lie(stated)
    write_header(model, stated, data)
    refused(model, lambda: load_network(model))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        b"PK\x03\x04" + bytes(50),
        pickle.dumps({"a": 1}),
    ],
)
def test_another_kind_of_file_is_refused(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    refused(model, lambda: load_network(model), "not a weight file")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_weight_file_is_refused(model: Path, share: float) -> None:
    content = model.read_bytes()
    model.write_bytes(content[: int(share * len(content))])
    refused(model, lambda: load_network(model), "not a weight file")


def test_no_pipe_and_no_device_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "device"):
        refused(path, lambda path=path: load_network(path), "Not a regular file")


def test_a_huge_header_is_not_read(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGEST_HEADER", 100)
    refused(model, lambda: load_network(model), "its header has")


def test_a_folder_or_nothing_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, lambda: load_network(tmp_path), "not a weight file")
    refused(tmp_path / "absent", lambda: load_network(tmp_path / "absent"), "no such weight file")


def test_torch_saves_pickles_and_they_are_refused(tmp_path: Path) -> None:
    path, mark = tmp_path / "model.safetensors", tmp_path / "ran"
    torch.save({"weights": Trap(mark)}, path)
    refused(path, lambda: load_network(path), "not a weight file")
    assert not mark.exists()


def test_a_damaged_training_state_is_none(tmp_path: Path) -> None:
    state = Checkpoint(tmp_path)
    for content in (b"", b"\xff" * 100, pickle.dumps(Trap(tmp_path / "ran"))):
        state.path.write_bytes(content)
        with pytest.raises(ValueError, match="no training state"):
            state.load()
    save_file({"a": torch.zeros(1)}, state.path, {"state": "[" * 100_000})
    with pytest.raises(ValueError, match="no training state"):
        state.load()
    assert not (tmp_path / "ran").exists()
