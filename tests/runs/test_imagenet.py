"""Torchvision's ImageNet weights: the same function in our networks, and clear refusals."""

import hashlib
import json
import os
import runpy
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from helpers import CLASSES, ROOT, data_settings, run_spec, toy_raw, train
from loopback import serving
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from stagewise.catalogue import network_options, networks
from stagewise.data.prepare import prepare
from stagewise.errors import UserError
from stagewise.models.resnet_imagenet import NativeResNet
from stagewise.models.store import Architecture, load_network, skeleton
from stagewise.models.vgg import VGG
from stagewise.runs import imagenet
from stagewise.runs.imagenet import HOST, WEIGHTS, converted, fetch, read

FILE = WEIGHTS["resnet18-imagenet"][1]


def builder(name: str) -> Any:
    return getattr(torchvision.models, WEIGHTS[name][1].partition("-")[0])


def shaken(module: nn.Module) -> nn.Module:
    """Running statistics and batch norms as after some training."""
    generator = torch.Generator().manual_seed(0)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                assert tensor is not None
                tensor.data.add_(torch.rand(tensor.shape, generator=generator))
    return module.eval()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return shaken(torchvision.models.resnet18())


@pytest.mark.parametrize("name", WEIGHTS)
def test_names_and_files_are_torchvisions(name: str) -> None:
    weights, file, sha256 = WEIGHTS[name]
    assert name in networks()
    assert torchvision.models.get_weight(weights).url == f"{HOST}/{file}"
    assert file.partition("-")[2].removesuffix(".pth") == sha256[:8]
    assert len(sha256) in (8, 64)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_tensor_has_its_like_in_torchvision(name: str) -> None:
    built = skeleton(Architecture(name, network_options(name), 1000, 3, 224))
    assert isinstance(built, NativeResNet | VGG)
    with torch.device("meta"):
        theirs = builder(name)().state_dict()
    pairs = built.torchvision_names()
    found = {
        f"{pairs[part]}.{key.removeprefix(f'{part}.')}": tensor.shape
        for part in pairs
        for key, tensor in built.state_dict().items()
        if key.startswith(f"{part}.")
    }
    backbone = {k: t.shape for k, t in theirs.items() if not k.startswith("classifier.")}
    assert found == backbone


def test_a_residual_network_computes_what_torchvisions_does(original: nn.Module) -> None:
    built, shape = converted("resnet18-imagenet", original.state_dict(), 64)
    images = torch.randn(2, 3, 64, 64)
    assert torch.allclose(built.eval()(images).logits, original(images), atol=1e-4)
    assert shape == Architecture("resnet18-imagenet", {"width": 64}, 1000, 3, 64)


def test_a_vgg_computes_what_torchvisions_does() -> None:
    from torchvision.models.vgg import cfgs, make_layers

    features = shaken(make_layers(cfgs["A"], batch_norm=True))
    tensors = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    built, _ = converted("vgg11", tensors, 64)
    images = torch.randn(2, 3, 64, 64)
    ours = max_pool2d(built.eval()(images).taps["stage4"], 2)
    assert torch.allclose(ours, features(images), rtol=1e-3, atol=1e-4)


def test_old_files_without_counters_are_taken(original: nn.Module) -> None:
    tensors = {k: t for k, t in original.state_dict().items() if "num_batches" not in k}
    built, _ = converted("resnet18-imagenet", tensors, 32)
    assert torch.equal(built.state_dict()["stem.0.weight"], tensors["conv1.weight"])


@pytest.mark.parametrize("change", [{}, {"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}])
def test_tensors_that_do_not_fit_are_refused(
    original: nn.Module, change: dict[str, Tensor]
) -> None:
    tensors = {k: t for k, t in original.state_dict().items() if k != "layer1.0.conv1.weight"}
    with pytest.raises(UserError, match=r"resnet18-imagenet: torchvision's 'layer1\.0\.conv1\.w"):
        converted("resnet18-imagenet", tensors | change, 32)


def test_a_mirror_serves_where_the_host_does_not(
    tmp_path: Path, served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    with serving(served) as server:
        monkeypatch.setattr(imagenet, "HOST", f"{server.url}/models")
        mirrors = [str(tmp_path / "empty"), f"{server.url}/", "/never/asked"]
        tensors = fetch("resnet18-imagenet", tmp_path / "cache", mirrors)
        assert [request["path"] for request in server.requests] == [f"/models/{FILE}", f"/{FILE}"]
        assert torch.equal(tensors["conv1.weight"], read(served / FILE)["conv1.weight"])


def test_without_a_good_place_the_message_names_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).write_bytes(b"half a download")
    with serving(tmp_path) as server:
        monkeypatch.setattr(imagenet, "HOST", f"{server.url}/models")
        with pytest.raises(UserError) as refused:
            fetch("resnet18-imagenet", tmp_path / "cache", [str(tmp_path), "/absent"])
    text = str(refused.value)
    assert f"{server.url}/models/{FILE}: the server answers 404" in text
    assert f"{tmp_path}/{FILE}: has SHA-256 " in text
    assert ", not f37072fd" in text
    assert f"/absent/{FILE}: no such file" in text
    assert text.endswith("name a good copy in two_stage.mirrors")
    assert (tmp_path / FILE).exists()  # the user's own


def test_a_network_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'resnet8': torchvision has no .* resnet18-imagenet, "):
        fetch("resnet8", tmp_path)


class Trap:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("content", [{"conv1.weight": Trap()}, [torch.zeros(1)], {"epoch": 3}])
def test_a_file_of_anything_but_tensors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, "file.pth")
    with pytest.raises(UserError, match=r"file\.pth: .*fetch it again"):
        read(Path("file.pth"))
    assert not Path("sprung").exists()


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    for content in (b"", b"PK\x03\x04 half an archive"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{path}: no weights of torchvision"):
            read(path)


@pytest.fixture
def served(tmp_path: Path, original: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of torchvision's kind, whose checksum is taken for the published one."""
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save(OrderedDict(original.state_dict()), folder / FILE)
    digest = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    name = WEIGHTS["resnet18-imagenet"][0]
    monkeypatch.setitem(WEIGHTS, "resnet18-imagenet", (name, FILE, digest))
    return folder


@pytest.fixture
def start(tmp_path: Path, served: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the script makes of that file, for images of 32 pixels."""
    out = tmp_path / "start/model.safetensors"
    with serving(tmp_path / "start") as server:
        monkeypatch.setattr(imagenet, "HOST", server.url)
        script = str(ROOT / "scripts/weights.py")
        arguments = ["--network", "resnet18-imagenet", "--image-size", "32", "--out", str(out)]
        arguments += ["--mirrors", str(served), "--cache", str(tmp_path / "cache")]
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(script, run_name="__main__")
        assert not done.value.code
    return out


def test_the_script_makes_a_file_to_start_from(start: Path, original: nn.Module) -> None:
    back, shape = load_network(start)
    assert (shape.network, shape.classes, shape.image_size) == ("resnet18-imagenet", 1000, 32)
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(back.eval()(images).logits, original(images), atol=1e-4)


def test_a_run_starts_from_it_with_a_new_classifier(
    tmp_path: Path, start: Path, original: nn.Module
) -> None:
    raw = toy_raw(size=32)
    colour = replace(raw, images=raw.images.repeat(3, axis=1))
    prepare(colour, data_settings(), tmp_path / "data.safetensors")
    network = {"network": "resnet18-imagenet", "width": 64}
    # a learning rate of almost nothing: what comes out is what went in
    spec = run_spec({"epochs": 1, "lr": 1e-12}, init="features", network=network)
    trained, shape = load_network(
        train(spec, tmp_path / "data.safetensors", tmp_path / "run", init=start)
    )
    assert shape.classes == CLASSES
    first = original.state_dict()["conv1.weight"]
    assert torch.allclose(trained.state_dict()["stem.0.weight"], first)
    assert trained.classifier.out_features == CLASSES
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["parents"]["init"]["path"] == str(start.parent)


def test_grey_images_do_not_fit_it(tmp_path: Path, start: Path, prepared: Path) -> None:
    spec = run_spec(init="features", network={"network": "resnet18-imagenet", "width": 64})
    with pytest.raises(UserError, match=r"\(channels, pixels, classes\) \[3, 32\] do not fit"):
        train(spec, prepared, tmp_path / "run", init=start)
