"""The same study through a real Slurm of one node: the same bytes, though a job's time runs out
once and the node reboots under it once."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from projects import Project, copy_project

FILES = ("model.safetensors", "record.json", "history.csv", "logits.npz")
"""What two equal runs leave byte for byte."""
RULES = ("train_teacher", "train_student", "distill")
TARGETS = ("students", "distillation")
STATES = "work/runs/smoke/distillation"
LOG = "logs/smoke/distillation/resnet.kd.seed-0.log"


@dataclass
class Finished:
    """What a study left, here or on the cluster."""

    files: dict[str, bytes]
    output: str = ""
    jobs: tuple[dict[str, str], ...] = ()


def environment(project: Project) -> dict[str, str]:
    """What ``Project.run`` sets."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(project.folder / "src"),
        "STAGEWISE_DEVICE": "cpu",
    }


def content(project: Project) -> dict[str, bytes]:
    """The files of every run that must not depend on where it ran."""
    folders = sorted(path.parent for path in (project.folder / "runs").rglob("record.json"))
    return {
        str((folder / name).relative_to(project.folder)): (folder / name).read_bytes()
        for folder in folders
        for name in FILES
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A copy with prepared data: a teacher, a student, and a distilled student that takes long."""
    project = copy_project(tmp_path_factory.mktemp("study"))
    path = project.folder / "config/smoke.yaml"
    config = yaml.safe_load(path.read_text())
    config["teachers"]["same_data"] = False
    config["two_stage"]["pairs"] = config["multi_exit"]["pairs"] = []
    config["pruning"] = []
    config["students"] = {"training": {"epochs": 600, "evaluate_every": 50}}
    path.write_text(json.dumps(config))
    project.snakemake("data")
    return project


@pytest.fixture(scope="module")
def local(study, tmp_path_factory):
    """The study trained without a cluster."""
    folder = tmp_path_factory.mktemp("local") / "project"
    shutil.copytree(study.folder, folder)
    project = Project(folder)
    project.snakemake(*TARGETS)
    return Finished(content(project))


@pytest.fixture(scope="module")
def clustered(study, cluster, tmp_path_factory):
    """The study sent to Slurm with the profile as it is, but asking often. The distillation's
    first attempt gets one second, its second one loses its node, its third ends it."""
    folder = tmp_path_factory.mktemp("slurm") / "project"
    shutil.copytree(study.folder, folder)
    project = Project(folder)
    command = [
        "snakemake", *TARGETS, "--configfile", "config/smoke.yaml",
        "--workflow-profile", "profiles/slurm",
        "--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3",
        "--set-resources", *(f"{rule}:gpu=1" for rule in RULES),
        "distill:budget='1s' if attempt == 1 else '1h'",
    ]  # fmt: skip
    with open(folder / "output.txt", "wb") as output:
        snakemake = subprocess.Popen(
            command, cwd=folder, env=environment(project), stdout=output, stderr=output
        )
        try:

            def goes_on():
                """The second attempt has begun."""
                assert snakemake.poll() is None, (folder / "output.txt").read_text()
                log = folder / LOG
                return log.exists() and "goes on after epoch" in log.read_text()

            def has_saved():
                """It has saved a state of its own."""
                states = (folder / STATES).rglob("state.safetensors")
                return any(state.stat().st_mtime > began for state in states)

            cluster.wait_until(goes_on, "a second attempt", seconds=200)
            began = time.time()
            cluster.wait_until(has_saved, "a saved state")
            cluster.reboot_node()
            assert snakemake.wait(400) == 0, (folder / "output.txt").read_text()
        finally:
            snakemake.kill()
    return Finished(content(project), (folder / "output.txt").read_text(), tuple(cluster.jobs()))


def test_weights_and_records_are_the_local_ones(local, clustered):
    assert {Path(path).name for path in local.files} == set(FILES)
    assert clustered.files == local.files


def test_every_job_went_through_the_queue(clustered):
    submitted = set(re.findall(r"submitted with SLURM jobid (\d+)", clustered.output))
    assert submitted == {job["JobId"] for job in clustered.jobs}
    rules = [re.match(r"rule_(.*)_wildcards", job["Comment"])[1] for job in clustered.jobs]
    assert sorted(rules) == sorted([*RULES, "distill", "distill"])


def test_a_spent_budget_and_a_lost_node_are_gone_on_from(clustered):
    states = [job["JobState"] for job in clustered.jobs if "distill" in job["Comment"]]
    assert states == ["FAILED", "NODE_FAIL", "COMPLETED"]
    assert clustered.output.count("Trying to restart job") == 2


def test_gpu_jobs_ask_for_one_gpu_and_wait_for_each_other(clustered):
    assert {job["TresPerJob"] for job in clustered.jobs} == {"gres:gpu:1"}
    spans = sorted((job["StartTime"], job["EndTime"]) for job in clustered.jobs)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
