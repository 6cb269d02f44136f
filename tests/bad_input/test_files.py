"""Bad files: damaged, malformed, of another study, or hostile. Each is refused in one line that
names the file and the mend; nothing runs, and nothing is left half-written."""

import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import CE, CPU, KD, ROOT, run_spec
from safetensors.torch import load_file, save_file

from stagewise.analysis.records.csv_files import read_csv
from stagewise.analysis.records.evaluation import evaluate
from stagewise.analysis.records.logits import read_logits
from stagewise.analysis.records.study import Study, read_study
from stagewise.analysis.records.summary import summarise
from stagewise.data.arrays import save_arrays
from stagewise.data.batches import load_task
from stagewise.data.prepare import prepare
from stagewise.data.prepared import load_prepared
from stagewise.data.raw import load_raw, save_raw
from stagewise.errors import UserError
from stagewise.files import read_json
from stagewise.models import store
from stagewise.models.store import build, load_network, save_network
from stagewise.runs.prune import prune_run
from stagewise.runs.train import Inputs
from stagewise.study.spec import Images, PruneSpec
from stagewise.training.checkpoint import Checkpoint

MEND = re.compile(r"run `snakemake data`|run again|run the step|lower|leave at least|change")


def refused(path: Path, call: Callable[[], object], part: str = "") -> str:
    """The one line with which ``call`` refuses ``path``; it must hold ``part``."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert len(text.splitlines()) == 1, text
    assert str(path) in text
    assert part in text, text
    assert MEND.search(text), text
    return text


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


# -- weight files --------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shape = helpers.architecture()
    save_network(build(shape, 0), shape, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


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


# -- data ----------------------------------------------------------------------------------------


def altered(source: Path, path: Path, arrays: dict[str, Any] | None = None, **info: Any) -> Path:
    """A copy of prepared data with other arrays (None: left out) and info, checksums right."""
    old, told = load_prepared(source)
    new = {name: array for name, array in {**old, **(arrays or {})}.items() if array is not None}
    save_arrays(new, {key: v for key, v in {**told, **info}.items() if v is not None}, path)
    return path


BAD_ARRAYS: list[tuple[str, Callable[[Any], Any], str]] = [
    ("train.images", lambda old: None, "'train.images' is missing"),
    ("test.labels", lambda old: None, "'test.labels' is missing"),
    ("few.all", lambda old: None, "'few.all'"),
    ("train.images", lambda old: old.astype(np.float32), "is float32"),
    ("train.images", lambda old: old[:, 0], "not uint8 with 4 axes"),
    ("train.images", lambda old: old[:5], "5 'train.images' and 24"),
    ("train.images", lambda old: old[..., :4], "must be square"),
    ("test.images", lambda old: old[:, :, :4, :4], "all of one size"),
    ("train.labels", lambda old: old.astype(np.int32), "is int32"),
    ("train.labels", lambda old: old + 1, "go from 1 to 4, but there are 4"),
    ("train.labels", lambda old: old - 1, "go from -1"),
    ("validation.labels", lambda old: old[:0], "0 'validation.labels'"),
    ("validation.images", lambda old: old[:0], "0 'validation.images'"),
    ("few.all", lambda old: old + 100, "beyond the 24"),
    ("few.all", lambda old: old - 100, "beyond the 24"),
    ("few.target", lambda old: old.astype(float), "'few.target' is no list"),
    ("few.target", lambda old: np.arange(24), "not the task's"),
]


@pytest.mark.parametrize(("name", "change", "part"), BAD_ARRAYS)
def test_wrong_arrays_are_refused(
    prepared: Path, tmp_path: Path, name: str, change: Callable[[Any], Any], part: str
) -> None:
    old, _ = load_prepared(prepared)
    path = altered(prepared, tmp_path / "prepared.safetensors", {name: change(old[name])})
    refused(path, lambda: load_task(path, Images(images="few"), CPU), part)


def test_validation_images_that_were_held_out_cannot_be_missing(
    prepared: Path, tmp_path: Path
) -> None:
    old, _ = load_prepared(prepared)
    none = {name: old[name][:0] for name in ("validation.images", "validation.labels")}
    path = altered(prepared, tmp_path / "prepared.safetensors", none)
    count = len(old["validation.labels"])
    refused(path, lambda: load_prepared(path), f"'validation.images' has 0 entries, not {count}")


@pytest.mark.parametrize(
    ("info", "part"),
    [
        ({"classes": None}, "states no 'classes'"),
        ({"classes": "0123"}, "states no 'classes'"),
        ({"classes": ["a", "b"]}, "names more than the 2"),
        ({"tasks": None}, "states no 'tasks'"),
        ({"counts": None}, "states no 'counts'"),
        ({"counts": {}}, "entries, not None"),
        ({"few": None}, "states no 'few'"),
        ({"few": {"seed": 0, "per_class": {"all": "10", "target": 5}}}, "does not say how many"),
        ({"few": {"seed": 0.5, "per_class": {"all": 10, "target": 5}}}, "does not say how many"),
        ({"tasks": {"all": "0123"}}, "task 'all' is no list"),
        ({"tasks": {"all": [0, 0, 1]}}, "task 'all' repeats classes"),
        ({"tasks": {"all": [0, 1, 2, 3], "target": [2, 3]}}, "'source' has 0 classes"),
        ({"mean": None}, "states no 'mean'"),
        ({"mean": ["0"]}, "no numbers"),
        ({"std": [1.0, 1.0]}, "one value for each of 1 channels"),
    ],
)
def test_wrong_statements_are_refused(
    prepared: Path, tmp_path: Path, info: dict[str, Any], part: str
) -> None:
    path = altered(prepared, tmp_path / "prepared.safetensors", **info)
    refused(path, lambda: load_task(path, Images(task="source"), CPU), part)


@pytest.mark.parametrize("info", ["null", "[]", "{}", '{"sha256": 5}', '{"sha256": {"x": 1}}', "{"])
def test_data_without_checksums_are_refused(tmp_path: Path, info: str) -> None:
    path = tmp_path / "prepared.safetensors"
    save_file({"images": torch.zeros(1)}, path, {"info": info})
    refused(path, lambda: load_prepared(path), "not a data file")
    refused(tmp_path, lambda: load_prepared(tmp_path), "not a data file")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"labels": np.zeros(48)}, "'labels' is float64"),
        ({"labels": np.arange(48)}, "go from 0 to 47, but there are 4"),
        ({"images": np.zeros((48, 8, 8), np.uint8)}, "with 4 axes"),
        ({"images": np.zeros((0, 1, 8, 8), np.uint8)}, "0 'images' and 48"),
        ({"test_images": np.zeros((2, 1, 8, 8), np.uint8)}, "'test_labels' is missing"),
    ],
)
def test_wrong_raw_data_are_refused(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    raw, path = helpers.toy_raw(), tmp_path / "raw.safetensors"
    arrays = {"images": raw.images, "labels": raw.labels, **changes}
    save_arrays(arrays, {"classes": raw.classes, "notes": {}}, path)
    refused(path, lambda: load_raw(path), part)


def test_raw_data_are_no_prepared_data_and_the_reverse(prepared: Path, tmp_path: Path) -> None:
    save_raw(helpers.toy_raw(), tmp_path / "raw.safetensors")
    path = tmp_path / "raw.safetensors"
    refused(path, lambda: load_prepared(path), "states no 'tasks'")
    refused(prepared, lambda: load_raw(prepared), "states no classes or notes")


@pytest.mark.parametrize(
    "settings", [{"test": 0.01}, {"validation": 0.01}, {"source_classes": [0, 1, 2, 3]}]
)
def test_splits_that_cannot_be_made_leave_no_file(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = tmp_path / "prepared.safetensors"
    with pytest.raises(UserError, match=r"^data") as caught:
        prepare(helpers.toy_raw(), helpers.data_settings(**settings), path)
    assert MEND.search(str(caught.value))
    assert list(tmp_path.iterdir()) == []


# -- files of two studies ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of a study with larger images."""
    return helpers.toy_data(tmp_path_factory.mktemp("foreign") / "prepared", image_size=12)


@pytest.mark.parametrize(
    ("spec", "role"),
    [
        (run_spec(**KD), "teacher"),
        (run_spec(init="parent"), "init"),
        (run_spec(init="shape"), "init"),
        (run_spec(init="features"), "init"),
    ],
)
def test_a_parent_of_another_study_leaves_no_run(
    tmp_path: Path, foreign: Path, model: Path, spec: dict[str, Any], role: str
) -> None:
    out = tmp_path / "out"
    refused(model, lambda: helpers.train(spec, foreign, out, **{role: model}), "do not fit")
    assert not out.exists()


def test_a_network_of_another_study_is_not_pruned(
    tmp_path: Path, foreign: Path, model: Path
) -> None:
    spec = PruneSpec(
        network={"network": "resnet8", "width": 4},
        seed=0,
        data=Images(task="all", images="few"),
        criterion="l2",
        ratio=2.0,
        min_channels=1,
        min_share=0.0,
        tolerance=0.1,
        threads=1,
    )
    inputs = Inputs(foreign, {"init": model})
    refused(model, lambda: prune_run(spec, inputs, tmp_path / "out", code=""), "do not fit")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spec", "flag"), [(run_spec(**KD), "--teacher"), (run_spec(**CE, init="parent"), "--init")]
)
def test_a_run_without_its_parent_is_refused(
    tmp_path: Path, prepared: Path, spec: dict[str, Any], flag: str
) -> None:
    with pytest.raises(UserError, match=f"{flag}: this run needs .* give {flag} FILE"):
        helpers.train(spec, prepared, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# -- records -------------------------------------------------------------------------------------

RECORD: dict[str, Any] = {
    "spec": {"seed": 0, "training": {"lr": 0.1}},
    "parents": {"teacher": {"path": "x", "sha256": "a"}},
    "model_sha256": "b",
    "data_sha256": "d",
    "code": "c",
    "costs": [{"exit": "final", "parameters": 5, "macs": 50}],
    "file_bytes": 100,
    "protocol": {"epochs": 1, "steps_per_epoch": 2, "threads": 1},
}
PLAN: dict[str, Any] = {
    "study": "toy",
    "config": {
        "pairs": {"p": {"teacher": {"network": "vgg13"}, "student": {"network": "vgg8"}}},
        "seeds": [0],
        "data": {"source": "digits"},
        "gate": {"points": 4},
        "claims_tested": [],
        "evaluation": {"ece_bins": 15},
    },
    "runs": [
        {
            "path": "runs/toy/students/p.baseline/seed-0",
            "arm": "students/p.baseline",
            "step": "students",
            "name": "p.baseline",
            "seed": 0,
            "parents": {},
            "reference": "",
        }
    ],
}
PATH = PLAN["runs"][0]["path"]


def good_arrays() -> dict[str, Any]:
    """What a run's ``logits.npz`` holds: one exit, ten images, four classes."""
    logits = np.random.default_rng(0).normal(size=(1, 10, 4)).astype(np.float32)
    labels = np.arange(10) % 4
    return {
        "test": logits,
        "validation": logits,
        "test_labels": labels,
        "validation_labels": labels,
    }


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of one run."""
    folder = tmp_path / PATH
    folder.mkdir(parents=True)
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    (folder / "record.json").write_text(json.dumps(RECORD))
    np.savez(folder / "logits.npz", **good_arrays())
    return read_study(tmp_path / "plan.json", tmp_path)


def test_the_good_study_is_good(study: Study) -> None:
    assert len(summarise(study, evaluate(study))) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"words",
        b"[" * 100_000,
        b'{"spec": NaN}',
        b"null",
        b"[]",
        b"{}",
        pickle.dumps({}),
        json.dumps(RECORD).encode()[:-40],
    ],
)
def test_a_broken_record_is_refused(study: Study, content: bytes) -> None:
    file = study.folder(PATH) / "record.json"
    file.write_bytes(content)
    refused(file, lambda: evaluate(study))
    refused(file, lambda: study.files(PATH).record)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("spec", None),
            ("spec", []),
            ("spec", {"training": {"lr": "x"}}),
            ("spec", {"training": 1}),
        ),
        *(("model_sha256", None), ("model_sha256", 5), ("file_bytes", None), ("file_bytes", "1")),
        *(
            ("costs", None),
            ("costs", {}),
            ("costs", []),
            ("costs", [1]),
            ("costs", [{"exit": "final"}]),
        ),
        ("costs", [{"exit": "final", "parameters": "5", "macs": 50}]),
        ("costs", [{"exit": "final", "parameters": 5, "macs": 0}]),
        ("costs", [{"exit": "9", "parameters": 5, "macs": 5}]),
        *(("protocol", None), ("protocol", 3), ("protocol", {"steps_per_epoch": "many"})),
        *(("parents", []), ("parents", {"teacher": {}}), ("pruning", 5)),
        ("pruning", {"ratio_reached": "2x"}),
    ],
)
def test_a_record_that_lacks_or_mistypes_is_refused(study: Study, key: str, value: Any) -> None:
    file = study.folder(PATH) / "record.json"
    changed = {**RECORD, key: value}
    if value is None:
        del changed[key]
    file.write_text(json.dumps(changed))
    refused(study.folder(PATH), lambda: evaluate(study))


def test_a_record_that_is_a_folder_is_refused(study: Study) -> None:
    file = study.folder(PATH) / "record.json"
    file.unlink()
    refused(file, lambda: study.files(PATH).record, "no such file")
    file.mkdir()
    refused(file, lambda: study.files(PATH).record, "directory")


@pytest.mark.parametrize(
    "changes",
    [
        {"study": 5},
        {"config": []},
        {"config": {}},
        {"runs": {}},
        {"runs": [1]},
        {"runs": [{"path": "x"}]},
        {"runs": [{**PLAN["runs"][0], "seed": "0"}]},
        {"runs": [{**PLAN["runs"][0], "parents": ["x"]}]},
        {"runs": [{**PLAN["runs"][0], "path": 5}]},
        {"runs": [{**PLAN["runs"][0], "ratio": "2x"}]},
    ],
)
def test_a_wrong_plan_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({**PLAN, **changes}))
    refused(file, lambda: read_study(file), "is no study plan")


@pytest.mark.parametrize("content", ["[]", "null", "3", '"plan"', "{}"])
def test_what_is_no_plan_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(content)
    refused(file, lambda: read_study(file), "is no study plan")


# -- every value of a plan and a record ----------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each value of some JSON stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, part in inner:
        found.append((*path, key))
        if isinstance(part, dict | list):
            found += places(part, (*path, key))
    return found


ODD: tuple[Any, ...] = ("words", "", -7, 2**62, 1e308, [[]], {"": {}}, None, True)


def odd_ones(content: Any) -> list[tuple[str, str]]:
    """Text of ``content`` with one value missing, or replaced by an odd one."""
    found = []
    for *parents, last in places(content):
        for odd in (*ODD, "missing"):
            changed = json.loads(json.dumps(content))
            holder = changed
            for key in parents:
                holder = holder[key]
            if odd == "missing":
                del holder[last]
            else:
                holder[last] = odd
            found.append((".".join(map(str, (*parents, last))), json.dumps(changed)))
    return found


@pytest.mark.parametrize("name", ["plan.json", f"{PATH}/record.json"])
def test_every_odd_value_is_refused_or_harmless(study: Study, name: str) -> None:
    file = study.root / name
    good, said = json.loads(file.read_text()), []
    for place, text in odd_ones(good):
        file.write_text(text)
        try:
            again = read_study(study.root / "plan.json", study.root)
            summarise(again, evaluate(again)).to_csv().encode()
        except UserError as error:
            said.append(str(error))
        except Exception as error:
            raise AssertionError(f"{place}: {text}") from error
    assert len(said) > 50
    assert all(len(line.splitlines()) == 1 for line in said)


# -- logits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"test": None}, "corrupted"),
        ({"test_labels": None}, "corrupted"),
        ({"test": np.array([object()])}, "corrupted"),
        ({"test": np.zeros((10, 4), np.float32)}, "expected (exits, images, classes)"),
        ({"test": np.zeros((1, 9, 4), np.float32)}, "expected (exits, images, classes)"),
        ({"test": np.zeros((2, 10, 4), np.float32)}, "exits and classes"),
        ({"test": np.zeros((1, 10, 5), np.float32)}, "exits and classes"),
        ({"test": np.zeros((1, 10, 4), np.int64)}, "expected floats"),
        ({"test": np.zeros((1, 10, 4), "U3")}, "expected floats"),
        ({"test": np.zeros((1, 10, 4), complex)}, "expected floats"),
        ({"test_labels": np.zeros(10)}, "expected floats and whole numbers"),
        ({"test_labels": np.zeros((10, 1), int)}, "expected (exits, images, classes)"),
        ({"test_labels": np.full(10, 4)}, "labels that are none of these"),
        ({"test_labels": np.full(10, -1)}, "labels that are none of these"),
        ({"test": np.zeros((1, 0, 4), np.float32), "test_labels": np.zeros(0, int)}, "0 images"),
        ({"test": np.zeros((0, 10, 4), np.float32)}, "0 exits"),
    ],
)
def test_wrong_logits_are_refused(study: Study, changes: dict[str, Any], part: str) -> None:
    file = study.folder(PATH) / "logits.npz"
    arrays = {
        name: array for name, array in {**good_arrays(), **changes}.items() if array is not None
    }
    np.savez(file, **arrays)
    refused(file, lambda: read_logits(file.parent), part)


def test_logits_of_a_diverged_run_are_no_damage(study: Study) -> None:
    arrays = good_arrays()
    arrays["test"] = np.full_like(arrays["test"], np.nan)
    np.savez(study.folder(PATH) / "logits.npz", **arrays)
    table = evaluate(study)
    assert table.loc[table["split"] == "test", "accuracy"].tolist() == [0.0]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_truncated_logits_are_refused(study: Study, share: float) -> None:
    file = study.folder(PATH) / "logits.npz"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, lambda: read_logits(file.parent), "corrupted")


def npy(header: bytes) -> bytes:
    """A npy file of version 1.0 with a header of one's own."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    "content",
    [
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (10**15,), }\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999,), }\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (-5, 3, 2), }\n"),
        npy(b"__import__('os').mkdir('ran')\n"),
        npy(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n" + b"cos\nsystem\n."),
        npy(b"{" * 500),
        b"no array",
    ],
)
def test_a_hostile_array_is_refused(
    study: Study, content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    file = study.folder(PATH) / "logits.npz"
    with zipfile.ZipFile(file, "w") as archive:
        for name in good_arrays():
            archive.writestr(f"{name}.npy", content)
    refused(file, lambda: read_logits(file.parent))
    assert not (tmp_path / "ran").exists()


def test_no_pickle_in_logits_runs(study: Study, tmp_path: Path) -> None:
    file, mark = study.folder(PATH) / "logits.npz", tmp_path / "ran"
    trap = np.empty(1, object)
    trap[0] = Trap(mark)
    np.savez(file, **{**good_arrays(), "test": trap})
    refused(file, lambda: read_logits(file.parent), "corrupted")
    for content in (pickle.dumps(Trap(mark)), b"\x80\x04."):
        file.write_bytes(content)
        refused(file, lambda: read_logits(file.parent), "corrupted")
    with open(file, "wb") as stream:
        np.save(stream, trap)
    refused(file, lambda: read_logits(file.parent), "corrupted")
    assert not mark.exists()
    with open(file, "rb") as stream:  # the trap would have worked
        np.load(stream, allow_pickle=True)
    assert mark.exists()


def test_a_script_says_it_in_one_line_and_writes_nothing(study: Study) -> None:
    file = study.folder(PATH) / "logits.npz"
    file.write_bytes(pickle.dumps(Trap(study.root / "ran")))
    command = [sys.executable, str(ROOT / "scripts/evaluate.py"), "--plan", "plan.json"]
    command += ["--out", "evaluation.csv"]
    done = subprocess.run(command, cwd=study.root, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {PATH}/logits.npz: corrupted logits")
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in study.root.iterdir()} == {"plan.json", "runs"}


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00\x01",
        b"\x80\x04\x95" + bytes(50),
        b"step,g_backbone\n1,2\n",
        b"step,g_backbone,displacement,probe_accuracy\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4\nx,y,z,w\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4,5\n1,2,3,4,5\n",
        b"step,g_backbone,displacement,probe_accuracy\n1,2,3,4\n1,2,3,4,5\n",
        b'step,g_backbone,displacement,probe_accuracy\n1,"2,3,4\n',
        b"step,g_backbone,displacement,probe_accuracy\n1,True,3,4\n2,no,3,4\n",
    ],
)
def test_a_malformed_shock_log_is_refused(study: Study, content: bytes) -> None:
    file = study.folder(PATH) / "shock.csv"
    file.write_bytes(content)
    refused(file, lambda: study.files(PATH).shock)


@pytest.mark.parametrize(
    "content", ["epoch,phase\n1,all\n", "epoch,validation_accuracy\none,5\n", "", "\x00\x00"]
)
def test_a_malformed_history_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "history.csv"
    file.write_text(content)
    refused(file, lambda: read_csv(file, ("epoch", "validation_accuracy")))
    refused(tmp_path, lambda: read_csv(tmp_path), "not a readable CSV")


def test_a_formula_in_a_table_stays_text(tmp_path: Path) -> None:
    file = tmp_path / "summary.csv"
    pd.DataFrame({"path": ["=cmd|'/c calc'!A1"], "test_accuracy": [1.0]}).to_csv(file, index=False)
    assert read_csv(file, ("path", "test_accuracy"))["path"].tolist() == ["=cmd|'/c calc'!A1"]


# -- nothing is ever executed --------------------------------------------------------------------

FORBIDDEN = re.compile(
    r"\bimport pickle|\bpickle\.\w|\bimport (dill|joblib|cloudpickle|shelve|marshal)\b"
    r"|(?<![.\w])eval\(|(?<![.\w])exec\(|(?<![.\w])compile\(|\btorch\.load\(|allow_pickle=True"
    r"|yaml\.(unsafe_|full_)?load(_all)?\((?![^)]*_Loader)|UnsafeLoader|FullLoader|read_pickle"
)


def test_the_library_and_the_scripts_hold_no_call_that_executes_data() -> None:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]
    files += [*(ROOT / "workflow").rglob("*.smk"), ROOT / "Snakefile"]
    assert len(files) > 80
    found = {
        (str(path.relative_to(ROOT)), line.strip())
        for path in files
        for line in path.read_text(encoding="utf-8").splitlines()
        if FORBIDDEN.search(line)
    }
    # After their checksums only: given weights, torchvision's, CIFAR's pickles; without any code.
    weights = 'found: object = torch.load(path, map_location="cpu", weights_only=True)'
    pickles = str(Path("src/stagewise/data/pickles.py"))
    assert {where for where in found if where[0] != pickles} == {
        ("src/stagewise/runs/state_dicts.py", weights)
    }


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "x = pickle.loads(data)",
        "eval(text)",
        "exec(text)",
        "torch.load(path)",
        "yaml.load(stream)",
        "yaml.load(stream, yaml.Loader)",
        "yaml.unsafe_load(stream)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_would_find_one(line: str) -> None:
    assert FORBIDDEN.search(line)


@pytest.mark.parametrize(
    "line", ["network.eval()", "ast.literal_eval(x)", "yaml.load(s, _Loader)", "re.compile('x')"]
)
def test_the_search_lets_harmless_ones_pass(line: str) -> None:
    assert not FORBIDDEN.search(line)


def test_json_is_read_as_json(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    for content in ("{'a': 1}", "NaN", "-Infinity", "__import__('os')", "1" * 5000):
        file.write_text(content)
        refused(file, lambda: read_json(file), "not valid JSON")
