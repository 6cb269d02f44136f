"""Torchvision's ImageNet weights: the same function in our networks, and clear refusals."""

import hashlib
import os
import runpy
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from helpers import ROOT
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from stagewise.catalogue import network_options, networks
from stagewise.errors import UserError
from stagewise.models import imagenet
from stagewise.models.imagenet import HOST, WEIGHTS, converted, fetch, read
from stagewise.models.resnet_imagenet import NativeResNet
from stagewise.models.store import Architecture, load_network, skeleton
from stagewise.models.vgg import VGG


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


def test_without_a_network_the_message_says_which_file_goes_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(UserError) as refused:
        fetch("resnet18-imagenet", tmp_path / "weights")
    text = str(refused.value)
    assert text.startswith(f"{HOST}/resnet18-f37072fd.pth: cannot be fetched (<urlopen error Name")
    assert text.endswith(f"put it at {tmp_path}/weights/resnet18-f37072fd.pth")
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_download_is_checked_against_the_whole_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
        asked[url] = hash_prefix
        raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "00")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(UserError, match=r"cannot be fetched \(invalid hash value"):
        fetch("vgg16", tmp_path)
    assert asked == {f"{HOST}/vgg16_bn-6c64b313.pth": WEIGHTS["vgg16"][2]}


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet18-f37072fd.pth"
    path.write_bytes(b"half a download")
    with pytest.raises(UserError, match=rf"{path}: has SHA-256 \w+, not f37072fd.*; delete it"):
        fetch("resnet18-imagenet", tmp_path)
    assert path.exists()


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


def test_the_script_makes_a_file_to_start_from(
    tmp_path: Path, original: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, file, _ = WEIGHTS["resnet18-imagenet"]
    torch.save(OrderedDict(original.state_dict()), tmp_path / file)
    digest = hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()
    monkeypatch.setitem(imagenet.WEIGHTS, "resnet18-imagenet", (weights, file, digest))
    script = str(ROOT / "scripts/weights.py")
    arguments = ["--network", "resnet18-imagenet", "--image-size", "32"]
    arguments += ["--folder", str(tmp_path), "--out", str(tmp_path / "start.safetensors")]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(script, run_name="__main__")
    assert not done.value.code
    back, shape = load_network(tmp_path / "start.safetensors")
    assert (shape.network, shape.classes, shape.image_size) == ("resnet18-imagenet", 1000, 32)
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(back.eval()(images).logits, original(images), atol=1e-4)
