"""Own images through the pipeline: what is new is noticed, whatever its times and names are."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from projects import Project, copy_project

OWN = """\
study: pets
seeds: [0]
data: {source: image_folder, path: pets, image_size: 16, validation: 0.2, test: 0.2}
pairs:
  p: {teacher: {network: resnet14, width: 4}, student: {network: resnet8, width: 4}}
"""
NOTHING, ANEW = "Nothing to be done", "Data: image_folder"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = copy_project(tmp_path)
    generator = np.random.default_rng(0)
    for name in ("{x}", "_$a b%"):
        folder = project.folder / "pets" / name / "deep"
        folder.mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    (project.folder / "pets.yaml").write_text(OWN)
    return project


def data(project: Project, *arguments: str, check: bool = True) -> str:
    command = ("snakemake", "--configfile", "pets.yaml", "--cores", "1", "data", *arguments)
    done = project.run(*command, check=check)
    return done.stdout + done.stderr


def test_a_new_image_with_old_times_is_noticed_and_nothing_else(project: Project) -> None:
    assert ANEW in data(project)
    assert NOTHING in data(project, "-n")
    deep = project.folder / "pets" / "{x}" / "deep"
    times = os.stat(deep).st_atime_ns, os.stat(deep).st_mtime_ns
    (deep / "Thumbs.db").touch()  # no picture
    assert NOTHING in data(project, "-n")
    shutil.copy2(deep / "0.png", deep / "new.png")
    os.utime(deep, ns=times)
    assert ANEW in data(project)
    log = next((project.folder / "logs/raw").glob("*.log")).read_text()
    assert "left out, of a system or tool: 1 ({x}/deep/Thumbs.db)" in log
    log = (project.folder / "logs/pets/prepare.log").read_text()
    assert "duplicates: 1 images repeat another; each picture is on one side" in log
    assert NOTHING in data(project, "-n")
    (project.folder / "pets").rename(project.folder / "elsewhere")
    assert NOTHING in data(project, "-n")


def test_a_folder_of_splits_is_refused_before_any_work(project: Project) -> None:
    for split in ("train", "val", "test"):
        shutil.copytree(project.folder / "pets", project.folder / "set" / split)
    (project.folder / "pets.yaml").write_text(OWN.replace("path: pets", "path: set"))
    refused = data(project, "-n", check=False)
    assert "data.path: 'set' holds splits (test, train, val), not classes; write" in refused
    options = OWN.replace("path: pets", "path: set/train, test_path: set/test")
    (project.folder / "pets.yaml").write_text(options.replace(", test: 0.2", ""))
    assert ANEW in data(project, "-n")
