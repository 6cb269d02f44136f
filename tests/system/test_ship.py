"""docs/ship.md as a new user follows it, and the files where there is no Stagewise."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image
from projects import PROJECT, copy_project

PAGE = (PROJECT / "docs/ship.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def hasten(file):
    """Make a study for a target tiny; its goal one that no clock decides."""
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config |= {"seeds": [0, 1], "evaluation": {"latency_repeats": 3, "latency_batches": [1]}}
    config["training"] |= {"epochs": 2}
    config["target"] = {"macs": "1.5x", "loss": 50, "rates": []}
    for role in ("teacher", "student"):
        config[role]["width"] = 16
    file.write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The project after every line of the page, and what the lines said."""
    project = copy_project(tmp_path_factory.mktemp("ship"))
    shutil.copy(PROJECT / "Makefile", project.folder)
    hasten(project.folder / "config/ship.yaml")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(project.folder / "picture.png")
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) > 3
    said = []
    for line in lines:
        line = re.sub("^make ", "make -o .venv/installed ", line)  # it is there, elsewhere
        done = project.run("bash", "-ec", line, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        said.append(done.stdout)
    (code,) = blocks("python")
    said.append(project.run(sys.executable, "-c", code).stdout)
    return project.folder, said


def test_every_line_of_the_page_runs(followed):
    folder, said = followed
    ship = folder / "runs/smoke/distillation/resnet.kd/seed-0/ship"
    files = set(re.findall(r"\| `([a-z0-9.]+)`", PAGE.partition("### As files")[2]))
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
    smoke = "runs/smoke/distillation/resnet.kd/seed-0/ship"
    for ship in (folder / place for place in ("ship", smoke, "results/ship/ship")):
        command = (python, str(ship / "predict.py"), picture)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=plain)
        assert re.fullmatch(r".*picture\.png: \d \(\d+\.\d %\)\n", done.stdout)


def test_a_target_ends_with_a_verdict_a_page_and_a_card(followed):
    folder, _said = followed
    results = folder / "results/ship"
    sheet = json.loads((results / "ship/ship.json").read_text())
    sentence = sheet["verdict"]
    assert re.search(
        r"\d\.\d× fewer multiply-adds than the whole student, \d+\.\d points", sentence
    )
    assert sentence.split(": ", 1)[1].count("target") == 1 or "not decided" in sentence
    assert f"**{sentence}**" in (results / "ship/README.md").read_text()
    page = (results / "report.html").read_text()
    head, _, rest = sentence.partition(":")
    assert f"<b>{head}:</b>" in page
    assert rest.split(",")[0].strip() in page
    candidates = list(csv.DictReader((results / "candidates.csv").open()))
    chosen = [row for row in candidates if row["role"] == "candidate"]
    assert {row["seed"] for row in chosen} == {"0", "1"}
    right = {row["file"]: row["test_accuracy"] for row in sheet["files"]}
    seed = str(sheet["run"]["spec"]["seed"])
    [row] = [row for row in chosen if row["seed"] == seed and row["form"] == "float32"]
    assert right["model.onnx"] == pytest.approx(float(row["test_accuracy"]))
