"""The same study through a real Slurm of one node: the same bytes, also after a reboot."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from projects import Project, copy_project

FILES = ("model.safetensors", "record.json", "history.csv", "logits.npz")
"""What two equal runs leave byte for byte."""
TRAINING = ("train_teacher", "train_student", "distill")
LONG = "runs/smoke/distillation/resnet.kd/seed-0"


def small_study(folder: Path) -> Project:
    """A copy whose smoke study is a teacher, a student and a distilled student that takes long."""
    project = copy_project(folder)
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["two_stage"]["pairs"] = config["multi_exit"]["pairs"] = []
    config["pruning"] = []
    config["students"] = {"training": {"epochs": 400, "evaluate_every": 50}}
    path.write_text(json.dumps(config))
    return project


def slurm(*arguments: str) -> list[str]:
    """The command that sends the smoke study to the cluster, asking often."""
    return [
        "snakemake", "--configfile", "config/smoke.yaml", "--workflow-profile", "profiles/slurm",
        "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
        "--set-threads", "measure_latency=2", *arguments,
    ]  # fmt: skip


def content(project: Project) -> dict[str, bytes]:
    """Every file of every run that must not depend on where it ran."""
    found = sorted((project.folder / "runs").rglob("record.json"))
    return {
        str((record.parent / name).relative_to(project.folder)): (record.parent / name).read_bytes()
        for record in found
        for name in FILES
    }


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The files of the study's runs, trained without a cluster."""
    project = small_study(tmp_path_factory.mktemp("local"))
    project.snakemake()
    return content(project)


def test_a_study_goes_through_slurm(cluster, local, tmp_path):
    project = small_study(tmp_path)
    gpu = [f"{rule}:gpu=1" for rule in TRAINING]
    done = project.run(*slurm("--set-resources", *gpu, "distill:budget=2s"))
    text = done.stdout + done.stderr
    assert content(project) == local
    submitted = set(
        re.findall(r"external jobid (\d+)", text) or re.findall(r"SLURM jobid '?(\d+)", text)
    )
    print(text[-3000:], submitted, cluster.jobs())
    assert 0
