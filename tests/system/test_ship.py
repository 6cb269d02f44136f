"""docs/ship.md as a new user follows it, and the files where there is no Stagewise."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from projects import PROJECT, copy_project

PAGE = (PROJECT / "docs/ship.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The project after every line of the page, and what the lines said."""
    project = copy_project(tmp_path_factory.mktemp("ship"))
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(project.folder / "picture.png")
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) > 3
    said = []
    for line in lines:
        done = project.run("bash", "-ec", line, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        said.append(done.stdout)
    (code,) = blocks("python")
    said.append(project.run(sys.executable, "-c", code).stdout)
    return project.folder, said


def test_every_line_of_the_page_runs(followed):
    folder, said = followed
    ship = folder / "runs/smoke/distillation/resnet.kd/seed-0/ship"
    files = set(re.findall(r"\| `([a-z0-9.]+)`", PAGE))
    assert files <= {path.name for path in (*ship.iterdir(), *(folder / "ship").iterdir())}
    assert re.fullmatch(r"picture\.png: \d \(\d+\.\d %\)\n", said[-2])
    assert re.match(r"\[\{'\d': 0\.\d+", said[-1])


def test_the_files_need_numpy_pillow_and_onnxruntime_alone(followed, tmp_path):
    folder, _said = followed
    python = str(tmp_path / "venv/bin/python")
    plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for command in (
        (sys.executable, "-m", "venv", str(tmp_path / "venv")),
        (python, "-m", "pip", "install", "--quiet", "numpy", "pillow", "onnxruntime"),
    ):
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": ""})
    for name in ("torch", "onnx", "stagewise"):
        assert subprocess.run((python, "-c", f"import {name}"), env=plain).returncode
    picture = str(folder / "picture.png")
    for ship in (folder / "ship", folder / "runs/smoke/distillation/resnet.kd/seed-0/ship"):
        command = (python, str(ship / "predict.py"), picture)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=plain)
        assert re.fullmatch(r".*picture\.png: \d \(\d+\.\d %\)\n", done.stdout)
