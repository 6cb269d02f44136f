"""Weight files: they rebuild the same network, byte for byte, and refuse what is not theirs."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from helpers import ROOT, architecture, copied, network
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from stagewise.catalogue import networks
from stagewise.errors import UserError
from stagewise.models.store import (
    STARTS,
    Architecture,
    build,
    load_architecture,
    load_network,
    new_classifier,
    save_network,
    seeded,
)
from stagewise.study.spec import ClassifierStart


def saved(path: Path, shape: Architecture, seed: int = 0) -> Path:
    save_network(build(shape, seed), shape, path)
    return path


@pytest.mark.parametrize("name", sorted({p: n for n, p in reversed(networks().items())}.values()))
@pytest.mark.parametrize("exits", [None, "sepatt"])
def test_a_network_survives_its_file(tmp_path: Path, name: str, exits: str | None) -> None:
    shape = architecture(name, exits=exits)
    original = build(shape, seed=9)
    original.train()(torch.randn(6, 1, 8, 8))  # running statistics of its own
    save_network(original, shape, tmp_path / "model")
    back, stated = load_network(tmp_path / "model")
    assert stated == shape
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(back.eval()(images).answer, original.eval()(images).answer)
    assert copied(back).keys() == copied(original).keys()


def test_loading_does_not_execute_or_move_the_generator_of_others(tmp_path: Path) -> None:
    path = saved(tmp_path / "model", architecture())
    first = copied(load_network(path)[0])
    torch.manual_seed(1)
    assert all(torch.equal(t, first[n]) for n, t in copied(load_network(path)[0]).items())


def test_equal_networks_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom helpers import architecture\n"
        "from stagewise.models.store import build, save_network\n"
        "shape = architecture(exits='sepatt')\n"
        "save_network(build(shape, 4), shape, sys.argv[1])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "theirs")]
    environment = {"PYTHONPATH": str(ROOT / "tests"), "PYTHONHASHSEED": "77"}
    subprocess.run(command, check=True, env=environment)
    ours = saved(tmp_path / "ours", architecture(exits="sepatt"), seed=4)
    assert ours.read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path / "model", architecture())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=f"{path}: not a weight file"):
        load_network(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=f"{path}: not a weight file of this project"):
        load_network(path)
    path.write_text("not safetensors at all, but long enough for a header")
    with pytest.raises(UserError, match=f"{path}: not a weight file of this project"):
        load_architecture(path)


def test_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=f"{path}: not a weight file"):
        load_network(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent: no such weight file; run"):
        load_network(tmp_path / "absent")


def restated(path: Path, **changes: object) -> Path:
    """The file with other words in its architecture."""
    stated = {**vars(load_architecture(path)), **changes}
    save_file(load_file(path), path, {"architecture": json.dumps(stated)})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"options": {"width": 5}},
        {"network": "resnet14"},
        {"classes": 5},
        {"exits": "linear"},
        {"exits": "none such"},
        {"options": {"depth": 3}},
        {"pruned": [["stage1.0.first.0", True, [0]]]},
        {"pruned": [["none.such", True, [0]]]},
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = restated(saved(tmp_path / "model", architecture()), **changes)
    with pytest.raises(UserError, match=f"{path}: its weights do not fit"):
        load_network(path)


def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    path = restated(saved(tmp_path / "model", architecture()), network="resnet9")
    with pytest.raises(UserError, match=f"{path}: states an unknown network 'resnet9'"):
        load_network(path)


def test_an_unknown_key_in_the_architecture_is_refused(tmp_path: Path) -> None:
    path = restated(saved(tmp_path / "model", architecture()), code="import os")
    with pytest.raises(UserError, match=f"{path}: not a weight file"):
        load_network(path)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "model", architecture())
    before = path.read_bytes()

    def full(tensors: object, temporary: Path, metadata: object) -> None:
        temporary.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("stagewise.models.store.save_file", full)
    with pytest.raises(OSError, match="no space"):
        saved(path, architecture(), seed=1)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_new_classifier_leaves_the_backbone_alone() -> None:
    built = network(seed=2)
    before = copied(built)
    new_classifier(built, 7, seed=0)
    assert built.classifier.weight.shape == (7, 16)
    for name, tensor in before.items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, built.state_dict()[name])


def test_arms_of_a_seed_get_the_same_new_classifier() -> None:
    first, second, other = network(seed=2), network(seed=3), network(seed=2)
    for built, seed in ((first, 0), (second, 0), (other, 1)):
        new_classifier(built, 7, seed)
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_no_gradient_goes_into_the_features_from_a_classifier_of_zeros() -> None:
    built = network(seed=2)
    new_classifier(built, 7, seed=0, start="zero")
    built.train()
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    cross_entropy(built(images).logits, torch.arange(8) % 7).backward()
    for name, parameter in built.named_parameters():
        assert bool(parameter.grad.any()) == name.startswith("classifier."), name


@pytest.mark.parametrize("name", sorted({p: n for n, p in reversed(networks().items())}.values()))
def test_a_new_classifier_starts_as_its_family_does(name: str) -> None:
    own, new = network(name, classes=60).classifier, network(name)
    new_classifier(new, 60, seed=0)
    fresh = new.classifier
    # Kaiming's uniform bound 1/√C: a deviation of 0.2 or so, where the family starts at 0.01.
    assert fresh.weight.std().item() == pytest.approx(own.weight.std().item(), rel=0.2)
    assert bool(fresh.bias.any()) == bool(own.bias.any())


def test_every_start_that_a_spec_may_name_is_there() -> None:
    assert {*STARTS} == {*get_args(ClassifierStart)}


def test_a_vggs_new_classifier_may_start_as_torchs_linear_layers_do() -> None:
    built = network("vgg8", options={"width": 16})
    new_classifier(built, 50, seed=3, start="linear")
    seeded(3, "classifier")
    plain = nn.Linear(built.classifier.in_features, 50)
    assert torch.equal(built.classifier.weight, plain.weight)
    assert torch.equal(built.classifier.bias, plain.bias)


@pytest.mark.parametrize("name", ["resnet8", "wrn16-1", "resnet10-imagenet"])
def test_a_new_classifier_of_torchs_start_is_torchs_own_draw(name: str) -> None:
    built = network(name)
    new_classifier(built, 7, seed=3)
    seeded(3, "classifier")
    assert torch.equal(built.classifier.weight, nn.Linear(built.classifier.in_features, 7).weight)


def test_a_new_classifier_of_a_vgg_starts_small() -> None:
    built = network("vgg8", options={"width": 16})
    new_classifier(built, 50, seed=0)
    assert built.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not built.classifier.bias.any()


def test_an_architecture_is_plain_data() -> None:
    shape = replace(architecture(), pruned=[("stem.0", True, [1])])
    assert Architecture(**json.loads(json.dumps(vars(shape)))).pruned == [["stem.0", True, [1]]]


def test_nothing_in_the_library_unpickles() -> None:
    loads = re.compile(
        r"torch\.load\((?!.*weights_only=True)|import pickle|pickle\.load|allow_pickle=True|joblib"
    )
    # CIFAR's own files, after their checksum, by a reader that can make arrays and nothing else
    allowed = ROOT / "src/stagewise/data/pickles.py"
    for path in (ROOT / "src/stagewise").rglob("*.py"):
        assert path == allowed or not loads.search(path.read_text()), path


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    broken, shape = network(), architecture()
    with torch.no_grad():
        broken.classifier.bias[1] = value
    save_network(broken, shape, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"'classifier\.bias' holds values that are not finite"):
        load_network(tmp_path / "model.safetensors")
