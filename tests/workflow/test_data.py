"""Data from elsewhere through the pipeline: a mirror on loopback, and a folder of own images."""

import hashlib
import io
import json
import os
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml
from loopback import serving
from PIL import Image
from projects import PROJECT, Project, copy_project

from stagewise.data.sources import cifar100
from stagewise.models.store import load_architecture
from stagewise.runs.imagenet import HOST, WEIGHTS
from stagewise.study.config import resolve_config
from stagewise.study.plan import make_plan

CIFAR = """\
study: small
data:
  source: cifar100
  mirrors: {mirrors}
  classes: 2
  validation: 0.2
pairs:
  p: {{teacher: {{network: resnet14, width: 4}}, student: {{network: resnet8, width: 4}}}}
"""
OWN = """\
study: pets
seeds: [0]
data: {source: image_folder, path: pets, image_size: 16, validation: 0.2, test: 0.2}
pairs:
  p: {teacher: {network: resnet14, width: 4}, student: {network: resnet8, width: 4}}
training: {epochs: 1, batch_size: 8, crop: 1}
teachers: {same_data: false}
evaluation: {latency_batches: [1], latency_repeats: 3}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return copy_project(tmp_path)


def archive(images: int = 20) -> tuple[bytes, dict[str, str]]:
    """A tar in CIFAR-100's layout, with two classes, and the MD5s of its files."""
    data = np.random.default_rng(0).integers(0, 256, (images, 3072), np.uint8)
    block = pickle.dumps({b"data": data, b"fine_labels": [n % 2 for n in range(images)]})
    names = pickle.dumps({b"fine_label_names": [b"apple", b"bear"]})
    files = {"train": block, "test": block, "meta": names}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return stream.getvalue(), sums


def data(project: Project, *mirrors: str, check: bool = True) -> str:
    """What ``snakemake data`` prints, given these mirrors."""
    (project.folder / "small.yaml").write_text(CIFAR.format(mirrors=json.dumps(mirrors)))
    command = ("snakemake", "--configfile", "small.yaml", "--cores", "2", "data")
    done = project.run(*command, check=check)
    return done.stdout + done.stderr


def test_a_mirror_serves_where_the_official_place_does_not(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    good, sums = archive()
    served = tmp_path_factory.mktemp("served")
    (served / "good.tar").write_bytes(good)
    (served / "bad.tar").write_bytes(good.replace(b"apple", b"pears"))
    with serving(served) as server:
        source = "src/stagewise/data/sources/cifar100.py"
        project.replace(source, cifar100.URL, f"{server.url}/official.tar.gz")
        for name, md5 in sums.items():
            project.replace(source, cifar100.MD5[name], md5)
        failed = data(project, f"{server.url}/bad.tar", check=False)
        assert "'meta' has MD5" in failed
        assert "official.tar.gz: the server answers 404" in failed
        assert not (project.folder / "data/raw").exists()
        assert not list((project.folder / "work/downloads").iterdir())
        server.faults = [404, ("cut", 50_000)]
        data(project, f"{server.url}/good.tar")
        assert server.requests[-1]["Range"] == "bytes=50000-"
        asked = len(server.requests)
        assert "Nothing to be done" in data(project, f"{server.url}/good.tar")
        assert "Nothing to be done" in data(project, "/other/mirror.tar")
        assert len(server.requests) == asked
    summary = json.loads((project.folder / "data/small/summary.json").read_text())
    assert summary["classes"] == ["apple", "bear"]
    assert summary["counts"]["test.images"] == 20


def test_own_images_go_from_a_folder_to_a_record(project: Project) -> None:
    (project.folder / "pets.yaml").write_text(OWN)

    def students(*arguments: str, check: bool = True) -> str:
        command = ("snakemake", "--configfile", "pets.yaml", "--cores", "2", "students")
        done = project.run(*command, *arguments, check=check)
        return done.stdout + done.stderr

    refused = students("-n", check=False)
    assert "pets.yaml: data.path: 'pets' is no folder; correct it" in refused
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = project.folder / "pets" / name
        folder.mkdir(parents=True)
        for number in range(15):
            pixels = generator.integers(0, 256, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    students()
    record = project.folder / "runs/pets/students/p.baseline/seed-0/record.json"
    assert json.loads(record.read_text())["classes"] == ["cat", "dog"]
    assert "Nothing to be done" in students("-n")
    os.rename(project.folder / "pets", project.folder / "elsewhere")  # as on another machine
    assert "Nothing to be done" in students("-n")
    os.rename(project.folder / "elsewhere", project.folder / "pets")
    Image.fromarray(pixels).save(project.folder / "pets/dog/new.png")
    assert "Data: image_folder" in students("-n")


def test_the_configurations_in_the_docs_are_valid() -> None:
    page = (PROJECT / "docs/data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.S)
    assert len(blocks) == 2
    for block in blocks:
        assert make_plan(resolve_config(yaml.safe_load(block))).runs


def test_imagenet_weights_come_from_a_mirror_and_another_makes_no_others(project: Project) -> None:
    network, target = "resnet18-imagenet", "data/weights/resnet18-imagenet-32px/model.safetensors"
    _, file, sha256 = WEIGHTS[network]
    (project.folder / "mirror").mkdir()
    torch.save(torchvision.models.resnet18().state_dict(), project.folder / "mirror" / file)
    made = hashlib.sha256((project.folder / "mirror" / file).read_bytes()).hexdigest()
    project.replace("src/stagewise/models/resnet_imagenet.py", sha256, made)
    project.replace("src/stagewise/runs/imagenet.py", HOST, "/nowhere")

    def weights(mirror: str) -> str:
        config = {"study": "small", "data": {"source": "cifar100"}, "seeds": [0]}
        config["pairs"] = {"p": {"teacher": {"network": network}, "student": {"network": network}}}
        config["two_stage"] = {"pairs": ["p"], "regime": "imagenet", "mirrors": [mirror]}
        (project.folder / "small.yaml").write_text(json.dumps(config))
        command = ("snakemake", "--configfile", "small.yaml", "--cores", "2", target)
        done = project.run(*command)
        return done.stdout + done.stderr

    weights("mirror")
    assert load_architecture(project.folder / target).network == network
    assert "Nothing to be done" in weights("another")
